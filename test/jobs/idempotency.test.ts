import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GatewayError } from '../../src/errors.js'
import { bodyDigest, IdempotencyKeys } from '../../src/jobs/idempotency.js'

const mark = { owner: 'token', key: 'k', digest: bodyDigest({ command: ['true'] }) }
const hour = 3600 * 1000

test('a key stands for a job, per owner and project, for 24 hours', t => {
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
  const keys = new IdempotencyKeys()
  keys.add('p', mark, 'job-1', Date.now())
  assert.equal(keys.find('p', mark), 'job-1')
  assert.equal(keys.find('q', mark), undefined)
  assert.equal(keys.find('p', { ...mark, owner: 'another' }), undefined)
  assert.throws(
    () => keys.find('p', { ...mark, digest: bodyDigest({ command: ['false'] }) }),
    (error: unknown) => error instanceof GatewayError && error.code === 'idempotency_conflict',
  )
  t.mock.timers.setTime(Date.now() + 24 * hour)
  assert.equal(keys.find('p', mark), undefined)
  keys.prune()
  keys.add('p', mark, 'job-2', Date.now() - 24 * hour)
  assert.equal(keys.find('p', mark), undefined)
})

test('owners, keys and projects that run together are told apart', () => {
  const keys = new IdempotencyKeys()
  keys.add('p', { ...mark, owner: 'a', key: 'b","c' }, 'job-1', Date.now())
  assert.equal(keys.find('p', { ...mark, owner: 'a","b', key: 'c' }), undefined)
})

test('steps under one key run one after the other, also after one that failed; others do not wait', async () => {
  const keys = new IdempotencyKeys()
  const order: string[] = []
  let open: () => void = () => undefined
  const gate = new Promise<void>(resolve => {
    open = resolve
  })
  const first = keys.alone('p', mark, async () => {
    await gate
    order.push('first')
    throw new Error('no luck')
  })
  const second = keys.alone('p', mark, async () => order.push('second'))
  await keys.alone('p', { ...mark, key: 'other' }, async () => order.push('other'))
  await keys.alone('p', undefined, async () => order.push('keyless'))
  open()
  await assert.rejects(first, /no luck/)
  await second
  assert.deepEqual(order, ['other', 'keyless', 'first', 'second'])
})

test('the digest of a body knows no order of keys, but one of elements', () => {
  assert.equal(bodyDigest({ a: 1, b: { c: 2, d: 3 } }), bodyDigest({ b: { d: 3, c: 2 }, a: 1 }))
  assert.notEqual(bodyDigest({ command: ['a', 'b'] }), bodyDigest({ command: ['b', 'a'] }))
  assert.notEqual(bodyDigest({ command: ['a b'] }), bodyDigest({ command: ['a', 'b'] }))
})
