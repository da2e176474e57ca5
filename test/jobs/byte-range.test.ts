import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GatewayError } from '../../src/errors.js'
import { resolveRange } from '../../src/jobs/byte-range.js'

const size = 100
const whole = { start: 0, end: size, size, partial: false }
const part = (start: number, end: number) => ({ start, end, size, partial: true })

for (const [range, expected] of [
  ['bytes=0-', part(0, 100)],
  ['bytes=0-0', part(0, 1)],
  ['bytes=10-19', part(10, 20)],
  [' bytes=10-19 ', part(10, 20)],
  ['bytes=99-', part(99, 100)],
  ['bytes=90-5000', part(90, 100)],
  ['bytes=-1', part(99, 100)],
  ['bytes=-100', part(0, 100)],
  ['bytes=-5000', part(0, 100)],
  ['bytes=-99999999999999999999999', part(0, 100)],
] as const)
  test(`"${range}" is a part`, () => assert.deepEqual(resolveRange(size, { range }), expected))

for (const range of [
  undefined,
  '',
  'bytes',
  'bytes=',
  'bytes=-',
  'bytes=a-b',
  'bytes=1',
  'bytes=0-1,5-6',
  'bytes=5-1',
  'bytes=-1-2',
  'bytes= 1-2',
  'bytes=1.5-2',
  'bytes=0x1-2',
  'lines=0-1',
  '0-1',
])
  test(`${range} means the whole`, () => assert.deepEqual(resolveRange(size, { range }), whole))

for (const range of ['bytes=100-', 'bytes=100-200', 'bytes=99999999999999999999999-', 'bytes=-0'])
  test(`"${range}" cannot be satisfied, and the answer says how much there is`, () =>
    assert.throws(
      () => resolveRange(size, { range }),
      (error: unknown) => {
        assert.ok(error instanceof GatewayError)
        assert.equal(error.code, 'offset_out_of_range')
        assert.equal(error.headers['content-range'], 'bytes */100')
        return true
      },
    ))

test('tail counts from the end and outranks a range', () => {
  assert.deepEqual(resolveRange(size, { tail: 10, range: 'bytes=0-1' }), { ...whole, start: 90 })
  assert.deepEqual(resolveRange(size, { tail: 0, range: undefined }), { ...whole, start: 100 })
  assert.deepEqual(resolveRange(size, { tail: 5000, range: undefined }), whole)
})

test('the last bytes of an empty log are an empty whole: no Content-Range can name them', () => {
  const empty = { start: 0, end: 0, size: 0, partial: false }
  assert.deepEqual(resolveRange(0, { range: 'bytes=-5' }), empty)
  assert.deepEqual(resolveRange(0, { tail: 5, range: undefined }), empty)
  assert.throws(() => resolveRange(0, { range: 'bytes=0-' }), GatewayError)
})
