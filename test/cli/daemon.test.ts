import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { homeAt } from '../../src/home.js'
import { isDead, statProcess } from '../../src/processes/identity.js'
import { eventually } from '../eventually.js'
import { daemonSandbox } from './run-hack.js'

/** A zombie counts as gone: nothing of it runs. */
const isGone = (pid: number) => {
  const stat = statProcess(pid)
  return stat === undefined || isDead(stat)
}

test('start waits until hackd is ready, status describes it, stop waits until it is gone', async t => {
  const { hack, home } = daemonSandbox(t)
  const before = await hack('daemon', 'status')
  assert.deepEqual([before.code, before.stdout], [3, 'hackd is not running\n'])
  assert.match(before.stderr, /hack daemon start/)
  assert.deepEqual(JSON.parse((await hack('daemon', 'status', '--json')).stdout).running, false)

  await hack('gateway', 'enable')
  const started = await hack('daemon', 'start', '--port', '0')
  assert.deepEqual([started.code, started.stderr], [0, ''])
  assert.match(started.stdout, /^hackd \S+ is running \(pid \d+, up \S+\)\n {2}http:\/\/127\.0\.0\.1:\d+\n$/)
  const [url = ''] = /http:\S+/.exec(started.stdout) ?? []
  assert.equal((await fetch(`${url}/v1/status`)).status, 401)

  const status = await hack('daemon', 'status', '--json')
  const state = JSON.parse(status.stdout)
  assert.equal(status.code, 0)
  assert.deepEqual([state.running, state.url, state.home], [true, url, home])
  assert.ok(!isGone(state.pid))
  assert.equal(statSync(homeAt(home).log).mode & 0o777, 0o600)
  assert.match(readFileSync(homeAt(home).log, 'utf8'), /hackd listening on/)

  const stopped = await hack('daemon', 'stop')
  assert.deepEqual(stopped, { code: 0, stdout: `hackd stopped (pid ${state.pid})\n`, stderr: '' })
  assert.ok(isGone(state.pid))
  assert.deepEqual(await hack('daemon', 'stop'), { code: 0, stdout: 'hackd is not running\n', stderr: '' })
})

test('a second start finds the first; its flags change nothing', async t => {
  const { hack } = daemonSandbox(t)
  const first = JSON.parse((await hack('daemon', 'start', '--json')).stdout)
  const second = await hack('daemon', 'start', '--port', '1', '--json')
  assert.equal(second.code, 0)
  assert.equal(JSON.parse(second.stdout).pid, first.pid)
  assert.match(second.stderr, /runs already/)
})

test('starts at the same time leave one hackd', async t => {
  const { hack } = daemonSandbox(t)
  const all = await Promise.all([1, 2, 3].map(() => hack('daemon', 'start', '--json')))
  const running = all.filter(({ code }) => code === 0).map(({ stdout }) => JSON.parse(stdout).pid)
  assert.ok(running.length >= 1)
  const { pid } = JSON.parse((await hack('daemon', 'status', '--json')).stdout)
  assert.ok(running.includes(pid))
})

test('without a project it waits, and says what to do; it listens once there is one', async t => {
  const { hack } = daemonSandbox(t)
  const { stdout } = await hack('daemon', 'start', '--port', '0')
  assert.match(stdout, /waiting: no project is enabled.*hack gateway enable/)
  await hack('gateway', 'enable')
  await eventually('hackd to listen', async () => {
    const { url } = JSON.parse((await hack('daemon', 'status', '--json')).stdout)
    return typeof url === 'string' && url.startsWith('http://127.0.0.1:')
  })
})

test('what a crash left does not keep it from starting', async t => {
  const { hack, home } = daemonSandbox(t)
  const { pid } = JSON.parse((await hack('daemon', 'start', '--json')).stdout)
  process.kill(pid, 'SIGKILL')
  await eventually('its end', () => isGone(pid))
  assert.ok(existsSync(homeAt(home).pidFile))
  assert.equal((await hack('daemon', 'status')).code, 3)
  const again = await hack('daemon', 'start', '--json')
  assert.equal(again.code, 0, again.stderr)
  assert.notEqual(JSON.parse(again.stdout).pid, pid)
})

test('a start that fails shows why: the end of the log, and nothing of older runs', async t => {
  const { hack, home } = daemonSandbox(t)
  await hack('daemon', 'start')
  await hack('daemon', 'stop')
  writeFileSync(homeAt(home).config, '{"controlPlane":{"gateway":{"port":"x","bind":1}}}', { mode: 0o600 })
  const { code, stdout, stderr } = await hack('daemon', 'start')
  assert.deepEqual([code, stdout], [2, ''])
  assert.match(stderr, /gateway\.bind.*gateway\.port|gateway\.port.*gateway\.bind/s)
  assert.doesNotMatch(stderr, /waiting/)
  const asJson = await hack('daemon', 'start', '--json')
  assert.equal(JSON.parse(asJson.stdout).error, 'start_failed')
})

test('a port that is taken is told', async t => {
  const { hack } = daemonSandbox(t)
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const address = server.address()
  await hack('gateway', 'enable')
  const port = typeof address === 'object' ? String(address?.port) : ''
  const { code, stderr } = await hack('daemon', 'start', '--port', port)
  assert.equal(code, 1)
  assert.match(stderr, /EADDRINUSE/)
})

test('a large log is set aside at the next start', async t => {
  const { hack, home } = daemonSandbox(t)
  const { log, daemon } = homeAt(home)
  mkdirSync(daemon, { recursive: true, mode: 0o700 })
  writeFileSync(log, 'x'.repeat(9 * 2 ** 20), { mode: 0o600 })
  await hack('daemon', 'start')
  assert.equal(statSync(join(daemon, 'hackd.1.log')).size, 9 * 2 ** 20)
  assert.ok(statSync(log).size < 2 ** 20)
})
