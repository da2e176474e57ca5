import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import { CreatedToken, TokenFile } from '../../schemas/auth.js'
import { sandbox } from './run-hack.js'

function setUp(t: TestContext) {
  const box = sandbox(t)
  const gateway = (...argv: string[]) => box.hack('x', 'gateway', ...argv)
  const path = join(box.home, 'daemon', 'gateway', 'tokens.json')
  return { ...box, gateway, path, stored: () => JSON.parse(readFileSync(path, 'utf8')) }
}

test('a token is printed alone on stdout, and only its hash is stored', async t => {
  const { gateway, path, stored } = setUp(t)
  const { code, stdout, stderr } = await gateway('token-create')
  assert.equal(code, 0)
  assert.match(stdout, /^hack_[0-9a-f]{12}_[A-Za-z0-9_-]{54}\n$/)
  assert.match(stderr, /scope read, never expires/)
  assert.ok(Value.Check(TokenFile, stored()))
  assert.equal(statSync(path).mode & 0o777, 0o600)
  const secret = stdout.trim().split('_').slice(2).join('_')
  assert.ok(!readFileSync(path, 'utf8').includes(secret))
})

test('every option of token-create is in its JSON', async t => {
  const { gateway, hack } = setUp(t)
  const { id } = JSON.parse((await hack('init', '--json')).stdout)
  const flags = ['--scope', 'write', '--label', 'laptop', '--expires', '30d', '--project', id, '--project', id]
  const { stdout, stderr } = await gateway('token-create', ...flags, '--json')
  const token = JSON.parse(stdout)
  assert.ok(Value.Check(CreatedToken, token))
  assert.deepEqual([token.scope, token.label, token.projects], ['write', 'laptop', [id]])
  const days = (Date.parse(token.expiresAt ?? '') - Date.now()) / 86_400_000
  assert.ok(days > 29.9 && days <= 30)
  assert.ok(!('hash' in token))
  assert.match(stderr, /Writes are off.*hack config set --global controlPlane\.gateway\.allowWrites true/)
  await hack('config', 'set', '--global', 'controlPlane.gateway.allowWrites', 'true')
  assert.doesNotMatch((await gateway('token-create', '--scope', 'write')).stderr, /Writes are off/)
})

test('what makes no sense creates nothing', async t => {
  const { gateway, stored } = setUp(t)
  for (const flags of [
    ['--scope', 'admin'],
    ['--expires', 'soon'],
    ['--expires', '0d'],
    ['--expires', '2001-01-01'],
    ['--expires', '2030-13-45'],
    ['--project', 'ffffffffffff'],
  ]) {
    const { code, stdout } = await gateway('token-create', ...flags)
    assert.deepEqual([code, stdout], [2, ''], flags.join(' '))
  }
  assert.throws(stored, { code: 'ENOENT' })
})

test('the list shows states and no secrets; a label is only text', async t => {
  const { gateway, stored, path } = setUp(t)
  const ids: string[] = []
  for (const label of ['live', 'revoked', 'expired'])
    ids.push(JSON.parse((await gateway('token-create', '--label', `${label}\x1b[31m`, '--json')).stdout).id)
  await gateway('token-revoke', ids[1] ?? '')
  const file = stored()
  file.tokens[2].expiresAt = '2020-01-01T00:00:00.000Z'
  writeFileSync(path, JSON.stringify(file))
  const { stdout } = await gateway('token-list')
  for (const [index, state] of ['live', 'revoked', 'expired'].entries())
    assert.match(stdout, new RegExp(`^${ids[index]} {2}read +${state} .* ${state}\\\\u001b\\[31m$`, 'm'))
  const { tokens } = JSON.parse((await gateway('token-list', '--json')).stdout)
  assert.deepEqual(
    tokens.map((token: { state: string }) => token.state),
    ['live', 'revoked', 'expired'],
  )
  assert.ok(tokens.every((token: object) => !('hash' in token)))
})

test('revoking may be repeated; an unknown id is exit code 1', async t => {
  const { gateway } = setUp(t)
  const { id } = JSON.parse((await gateway('token-create', '--json')).stdout)
  const first = JSON.parse((await gateway('token-revoke', id, '--json')).stdout)
  assert.ok(Date.parse(first.revokedAt) <= Date.now())
  assert.deepEqual(JSON.parse((await gateway('token-revoke', id, '--json')).stdout), first)
  const unknown = await gateway('token-revoke', 'ffffffffffff')
  assert.equal(unknown.code, 1)
  assert.match(unknown.stderr, /token-list/)
})

test('rotating keeps the record and changes the secret; a revoked token stays dead', async t => {
  const { gateway, stored } = setUp(t)
  const before = JSON.parse((await gateway('token-create', '--label', 'x', '--json')).stdout)
  const hash = stored().tokens[0].hash
  const after = JSON.parse((await gateway('token-rotate', before.id, '--json')).stdout)
  assert.deepEqual({ ...after, token: '' }, { ...before, token: '' })
  assert.notEqual(after.token, before.token)
  assert.notEqual(stored().tokens[0].hash, hash)
  await gateway('token-revoke', before.id)
  assert.equal((await gateway('token-rotate', before.id)).code, 1)
})

test('tokens created at the same time are all kept', async t => {
  const { gateway, stored } = setUp(t)
  const created = await Promise.all(Array.from({ length: 5 }, () => gateway('token-create')))
  assert.ok(created.every(({ code }) => code === 0))
  assert.equal(stored().tokens.length, 5)
})
