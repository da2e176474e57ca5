import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import argon2 from 'argon2'
import { loadHomeKey } from '../../src/auth/home-key.js'
import { createToken, revokeToken, rotateToken } from '../../src/auth/token-file.js'
import { mintToken } from '../../src/auth/token-format.js'
import { TokenStore } from '../../src/auth/token-store.js'
import { Verifier } from '../../src/auth/verifier.js'
import { homeAt, prepareHome } from '../../src/home.js'
import { replaceJson } from '../../src/storage/atomic-file.js'
import { eventually } from '../eventually.js'

async function setUp(t: TestContext, count = 1) {
  const home = homeAt(await mkdtemp(join(tmpdir(), 'hackd-verifier-')))
  prepareHome(home)
  const tokens = []
  for (let i = 0; i < count; i++) tokens.push(await createToken(home, {}))
  const store = new TokenStore(home.tokens, assert.fail)
  const seen = { runs: 0, now: 0, most: 0 }
  const homeKey = await loadHomeKey(home.key)
  const verifier = new Verifier(homeKey, store, async (hash, secret) => {
    seen.runs++
    seen.most = Math.max(seen.most, ++seen.now)
    return argon2.verify(hash, secret).finally(() => seen.now--)
  })
  t.after(async () => {
    verifier.close()
    store.close()
    await rm(home.root, { recursive: true, force: true })
  })
  return { home, homeKey, store, verifier, tokens, seen }
}

test('a thousand garbage tokens reach argon2 not once', async t => {
  const { verifier, homeKey, tokens, seen } = await setUp(t)
  const [real] = tokens
  assert.ok(real)
  for (let i = 0; i < 1000; i++) {
    const garbage = randomBytes(41).toString('base64url').slice(0, 54)
    assert.equal(verifier.check(`hack_${real.id}_${garbage}`), undefined)
    assert.equal(verifier.check(`${real.token.slice(0, 20)}~${real.token.slice(21)}`), undefined)
    assert.equal(verifier.check(garbage), undefined)
  }
  assert.equal(verifier.check(mintToken(homeKey).token), undefined, 'tagged, but on no record')
  assert.equal(verifier.check(mintToken(randomBytes(32), real.id).token), undefined, "tagged with another home's key")
  assert.equal(seen.runs, 0)
})

test('a tagged token with a wrong secret fails at argon2', async t => {
  const { verifier, homeKey, tokens, seen } = await setUp(t)
  assert.equal(await verifier.check(mintToken(homeKey, tokens[0]?.id).token), undefined)
  assert.equal(seen.runs, 1)
})

test('a token is verified once, however many ask at the same time, and answered at once from then on', async t => {
  const { verifier, tokens, seen } = await setUp(t)
  const token = tokens[0]?.token ?? ''
  const answers = await Promise.all(Array.from({ length: 50 }, () => verifier.check(token)))
  for (const answer of answers) assert.equal(answer?.id, tokens[0]?.id)
  const again = verifier.check(token)
  assert.ok(again && !(again instanceof Promise))
  assert.equal(seen.runs, 1)
})

test('at most two argon2 runs at a time', async t => {
  const { verifier, tokens, seen } = await setUp(t, 8)
  const answers = await Promise.all(tokens.map(({ token }) => verifier.check(token)))
  assert.deepEqual(
    answers.map(record => record?.id),
    tokens.map(({ id }) => id),
  )
  assert.deepEqual([seen.runs, seen.most], [8, 2])
})

test('more new tokens than the queue holds are told to come back', async t => {
  const { home, homeKey } = await setUp(t)
  const minted = Array.from({ length: 80 }, () => mintToken(homeKey))
  const tokens = minted.map(({ id }) => ({ id, hash: 'any', scope: 'read', createdAt: new Date().toISOString() }))
  await replaceJson(home.tokens, { version: 2, tokens })
  const store = new TokenStore(home.tokens, assert.fail)
  t.after(() => store.close())
  let finish = () => {}
  const gate = new Promise<void>(resolve => {
    finish = resolve
  })
  const verifier = new Verifier(homeKey, store, () => gate.then(() => true))
  const asked = minted.map(({ token }) => Promise.resolve(verifier.check(token)))
  const settled = Promise.allSettled(asked)
  finish()
  const refused = (await settled).filter(({ status }) => status === 'rejected')
  assert.equal(refused.length, 80 - 2 - 64)
  assert.deepEqual((refused[0] as PromiseRejectedResult).reason.code, 'rate_limited')
})

test('the live record decides: revoked and rotated tokens are refused though they are cached', async t => {
  const { home, verifier, store, tokens, seen } = await setUp(t, 2)
  for (const { token } of tokens) assert.ok(await verifier.check(token))
  const [first, second] = tokens
  assert.ok(first && second)
  const old = store.usable(second.id)?.hash
  await revokeToken(home, first.id)
  const renewed = await rotateToken(home, second.id)
  await eventually('the file to be followed', () => store.usable(second.id)?.hash !== old)
  assert.equal(verifier.check(first.token), undefined)
  assert.equal(await verifier.check(second.token), undefined)
  assert.ok(await verifier.check(renewed?.token ?? ''))
  assert.equal(seen.runs, 4, 'two, then the old secret against the new record, then the new one')
})
