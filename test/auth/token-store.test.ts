import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { loadHomeKey } from '../../src/auth/home-key.js'
import { LastUsed, readLastUsed } from '../../src/auth/last-used.js'
import { createToken, listTokens, revokeToken, rotateToken } from '../../src/auth/token-file.js'
import { isTagged, parseToken } from '../../src/auth/token-format.js'
import { TokenStore } from '../../src/auth/token-store.js'
import { type Home, homeAt, prepareHome } from '../../src/home.js'
import { eventually } from '../eventually.js'

async function temporaryHome(t: TestContext): Promise<Home> {
  const home = homeAt(await mkdtemp(join(tmpdir(), 'hackd-tokens-')))
  prepareHome(home)
  t.after(() => rm(home.root, { recursive: true, force: true }))
  return home
}

function openStore(t: TestContext, home: Home): { store: TokenStore; reported: string[] } {
  const reported: string[] = []
  const store = new TokenStore(home.tokens, problem => void reported.push(problem))
  t.after(() => store.close())
  return { store, reported }
}

test('a token is shown once: the file holds an argon2id hash of the asked cost, and no secret', async t => {
  const home = await temporaryHome(t)
  const { token, id } = await createToken(home, { label: 'phone', projects: ['abc'], expiresAt: new Date(4e12) })
  assert.match(token, /^hack_[0-9a-f]{12}_[\w-]{54}$/)
  const text = await readFile(home.tokens, 'utf8')
  assert.ok(!text.includes(token.slice(18, 61)))
  const [record] = await listTokens(home)
  assert.match(record?.hash ?? '', /^\$argon2id\$v=19\$m=19456,(t=2,p=1|p=1,t=2)\$/)
  assert.deepEqual(
    { ...record, hash: '' },
    {
      id,
      hash: '',
      scope: 'read',
      label: 'phone',
      projects: ['abc'],
      createdAt: record?.createdAt,
      expiresAt: new Date(4e12).toISOString(),
    },
  )
  for (const path of [home.tokens, home.key]) assert.equal((await stat(path)).mode & 0o777, 0o600)
})

test('the home key is made once, by whoever comes first, and tags tokens', async t => {
  const home = await temporaryHome(t)
  const keys = await Promise.all(Array.from({ length: 8 }, () => loadHomeKey(home.key)))
  for (const key of keys) assert.deepEqual(key, keys[0])
  assert.equal(keys[0]?.length, 32)
  const parts = parseToken((await createToken(home, {})).token)
  assert.ok(parts && keys[0] && isTagged(keys[0], parts))
  assert.ok(!isTagged(keys[0], { ...parts, id: '0'.repeat(12) }))
  await writeFile(home.key, 'short')
  await assert.rejects(loadHomeKey(home.key), /must hold 32 bytes/)
})

test('two creations at once lose neither token', async t => {
  const home = await temporaryHome(t)
  await Promise.all([createToken(home, {}), createToken(home, {}), createToken(home, {})])
  assert.equal((await listTokens(home)).length, 3)
})

test('the store follows the file: created, rotated and revoked tokens', async t => {
  const home = await temporaryHome(t)
  const { store } = openStore(t, home)
  let changes = 0
  store.onChange(() => changes++)
  const { id, token } = await createToken(home, {})
  await eventually('the file to be followed', () => store.usable(id) !== undefined)
  const before = store.usable(id)?.hash
  const rotated = await rotateToken(home, id)
  assert.equal(rotated?.id, id)
  assert.notEqual(rotated?.token, token)
  await eventually('the file to be followed', () => store.usable(id)?.hash !== before)
  const revoked = await revokeToken(home, id)
  assert.ok(revoked?.revokedAt)
  await eventually('the file to be followed', () => store.usable(id) === undefined)
  assert.ok(changes >= 3)
  assert.equal((await revokeToken(home, id))?.revokedAt, revoked.revokedAt)
  assert.equal(await revokeToken(home, '0'.repeat(12)), undefined)
  assert.equal(await rotateToken(home, id), undefined)
})

test('an expiry is announced when it comes', async t => {
  const home = await temporaryHome(t)
  const { id } = await createToken(home, { expiresAt: new Date(Date.now() + 400) })
  const { store } = openStore(t, home)
  assert.ok(store.usable(id))
  let announced = 0
  store.onChange(() => announced++)
  await eventually('the file to be followed', () => announced > 0)
  assert.equal(store.usable(id), undefined)
})

test('a damaged file is reported once, and keeps the last good tokens in force', async t => {
  const home = await temporaryHome(t)
  const { id } = await createToken(home, {})
  const { store, reported } = openStore(t, home)
  const good = await readFile(home.tokens)
  await writeFile(home.tokens, good.subarray(0, good.length >> 1))
  await eventually('the file to be followed', () => reported.length > 0)
  assert.match(reported.join(), /not JSON.*last good tokens/s)
  assert.ok(store.usable(id))
  const fresh = openStore(t, home)
  assert.equal(fresh.store.usable(id), undefined)
  assert.match(fresh.reported.join(), /No token is accepted/)
})

test('a file of version 1 is refused with what to do, and set aside by the first new token', async t => {
  const home = await temporaryHome(t)
  await writeFile(home.tokens, JSON.stringify({ version: 1, tokens: [{ id: 'x', hash: 'sha256' }] }))
  const { store, reported } = openStore(t, home)
  assert.match(reported.join(), /version 1.*hack x gateway token-create/s)
  const { id } = await createToken(home, {})
  await eventually('the file to be followed', () => store.usable(id) !== undefined)
  assert.match(await readFile(`${home.tokens}.v1`, 'utf8'), /"version":1/)
})

test('last uses are written behind the request, merged with what was there', async t => {
  const home = await temporaryHome(t)
  await writeFile(home.lastUsed, JSON.stringify({ old: '2026-01-01T00:00:00.000Z' }))
  const lastUsed = new LastUsed(home.lastUsed, assert.fail)
  for (let i = 0; i < 1000; i++) lastUsed.mark('new')
  assert.deepEqual(Object.keys(await readLastUsed(home.lastUsed)), ['old'])
  await lastUsed.close()
  assert.deepEqual(Object.keys(await readLastUsed(home.lastUsed)), ['old', 'new'])
})
