import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Sandbox, sandbox } from './run-hack.js'

function setUp(t: TestContext, content?: string) {
  const box: Sandbox = sandbox(t)
  const path = join(box.home, 'hack.config.json')
  if (content !== undefined) {
    mkdirSync(box.home)
    writeFileSync(path, content)
  }
  return {
    path,
    read: () => JSON.parse(readFileSync(path, 'utf8')),
    get: (...argv: string[]) => box.hack('config', 'get', '--global', ...argv),
    set: (...argv: string[]) => box.hack('config', 'set', '--global', ...argv),
    hack: box.hack,
  }
}

test('what is set is read back, in a private file, beside what was there', async t => {
  const { set, get, read, path } = setUp(t, '{"future":{"a":1},"controlPlane":{"gateway":{"later":true}}}')
  const { code, stdout, stderr } = await set('controlPlane.gateway.allowWrites', 'true')
  assert.equal(code, 0)
  assert.equal(stdout, 'controlPlane.gateway.allowWrites = true\n')
  assert.match(stderr, /gateway\.later is not a known key/)
  assert.doesNotMatch(stderr, /daemon stop/)
  assert.deepEqual(read(), { future: { a: 1 }, controlPlane: { gateway: { later: true, allowWrites: true } } })
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal((await get('controlPlane.gateway.allowWrites')).stdout, 'true\n')
})

test('settings that are read at start say that a restart is needed', async t => {
  const { set } = setUp(t)
  for (const [key, value] of [
    ['gateway.bind', '0.0.0.0'],
    ['gateway.port', '7799'],
    ['gateway.trustProxy', 'true'],
    ['runtime.dockerHost', 'unix:///x'],
  ] as const) {
    assert.match((await set(`controlPlane.${key}`, value)).stderr, /hack daemon stop && hack daemon start/, key)
    assert.equal(JSON.parse((await set(`controlPlane.${key}`, value, '--json')).stdout).restart, true, key)
  }
})

test('lists are given as JSON or with commas, strings as they are', async t => {
  const { set, get, read } = setUp(t)
  await set('controlPlane.gateway.hosts', 'a.example.com, b.example.com')
  assert.deepEqual(read().controlPlane.gateway.hosts, ['a.example.com', 'b.example.com'])
  await set('controlPlane.gateway.hosts', '["c.example.com"]')
  assert.equal((await get('controlPlane.gateway.hosts')).stdout, '["c.example.com"]\n')
  await set('controlPlane.gateway.hosts', '')
  assert.deepEqual(read().controlPlane.gateway.hosts, [])
  await set('controlPlane.gateway.bind', '10')
  assert.equal(read().controlPlane.gateway.bind, '10')
})

test('every problem is listed, and nothing is changed', async t => {
  const { set, path } = setUp(t)
  const { code, stdout, stderr } = await set(
    ...['controlPlane.gateway.allowWrites', 'yes'],
    ...['controlPlane.gateway.port', '99999'],
    ...['controlPlane.shells.port', '1'],
    ...['controlPlane.__proto__.polluted', '1'],
    ...['controlPlane.audit.maxFiles', '3'],
  )
  assert.equal(code, 2)
  assert.equal(stdout, '')
  for (const expected of [
    /gateway\.allowWrites: .*"yes"/,
    /gateway\.port: .*99999/,
    /"controlPlane\.shells\.port" is no setting; did you mean controlPlane\.gateway\.port\?/,
    /"controlPlane\.__proto__\.polluted" is no setting/,
    /Nothing was changed/,
  ])
    assert.match(stderr, expected)
  assert.equal(existsSync(path), false)
})

test('a file with mistakes is mended by setting them right, and not otherwise', async t => {
  const { set, get, read } = setUp(t, '{"controlPlane":{"gateway":{"port":"x","allowWrites":1}}}')
  const shown = await get()
  assert.equal(shown.code, 2)
  assert.match(shown.stderr, /gateway\.port.*\n.*gateway\.allowWrites/s)
  assert.equal((await set('controlPlane.gateway.port', '1')).code, 2)
  assert.equal(read().controlPlane.gateway.port, 'x')
  assert.equal((await set('controlPlane.gateway.port', '1', 'controlPlane.gateway.allowWrites', 'false')).code, 0)
  assert.deepEqual(read().controlPlane.gateway, { port: 1, allowWrites: false })
})

test('a file that is no JSON object is left alone', async t => {
  for (const content of ['{', '[]', '{"controlPlane":[]}', '{"controlPlane":{"gateway":7}}']) {
    const { set, path } = setUp(t, content)
    assert.equal((await set('controlPlane.gateway.port', '1')).code, 2, content)
    assert.equal(readFileSync(path, 'utf8'), content)
  }
})

test('all settings are shown, defaults included', async t => {
  const { get } = setUp(t)
  const { stdout } = await get()
  assert.match(stdout, /^controlPlane\.gateway\.port = 7788$/m)
  const all = JSON.parse((await get('--json')).stdout)
  assert.equal(Object.keys(all).length, stdout.trim().split('\n').length)
  assert.deepEqual(all['controlPlane.gateway.hosts'], [])
  assert.equal((await get('controlPlane.gateway.prot')).code, 2)
})

test('the two switches of a project are not confused with settings', async t => {
  const { hack } = setUp(t)
  for (const argv of [
    ['get', 'controlPlane.gateway.port'],
    ['set', 'controlPlane.gateway.port', '1'],
  ]) {
    const { code, stderr } = await hack('config', ...argv)
    assert.equal(code, 2)
    assert.match(stderr, /add --global/)
  }
})
