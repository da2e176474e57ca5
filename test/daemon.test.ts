import assert from 'node:assert/strict'
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import { adminClient } from '../src/cli/admin-socket.js'
import { homeAt } from '../src/home.js'
import { setEnabled } from '../src/projects/project-file.js'
import { replaceJson } from '../src/storage/atomic-file.js'
import { eventually } from './eventually.js'
import { startHackd } from './hackd.js'
import { temporaryFolder } from './temporary-folder.js'

const program = fileURLToPath(new URL('../src/main.js', import.meta.url))
const promisedMs = 1000
/** What asking, and a busy machine, add to that. */
const slackMs = 500

/** Runs hackd until it ends by itself. */
function runHackd(argv: string[], env: NodeJS.ProcessEnv = {}) {
  return new Promise<{ code: unknown; stdout: string; stderr: string }>(resolve => {
    const options = { env: { PATH: process.env.PATH, HOME: '/nonexistent', ...env }, timeout: 30_000 }
    execFile(process.execPath, [program, ...argv], options, (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, stdout, stderr })
    })
  })
}

/** Runs hackd on a home without projects until the test ends. */
async function runIdle(t: TestContext, root?: string) {
  let child: ChildProcess | undefined
  const stop = async () => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    assert.deepEqual(await once(child, 'exit'), [0, null])
  }
  // Hooks run in the order in which they were added: hackd goes before its home does.
  t.after(stop)
  const home = homeAt(root ?? join(temporaryFolder(t), 'home'))
  child = spawn(process.execPath, [program], { env: { PATH: process.env.PATH, HACK_HOME: home.root } })
  const [line] = await once(createInterface({ input: child.stdout as Readable }), 'line')
  return { home, line: String(line), stop }
}

test('bad flags are exit code 2, with every problem', async () => {
  const { code, stdout, stderr } = await runHackd(['--port', '70000', '--log-level', 'loud', '--nonsense', 'surplus'])
  assert.deepEqual([code, stdout], [2, ''])
  for (const problem of [/--port .*70000/, /--log-level .*loud/, /no option --nonsense/, /"surplus"/, /hackd --help/])
    assert.match(stderr, problem)
  assert.equal((await runHackd(['--home'])).code, 2)
})

test('help and version are exit code 0, on stdout', async () => {
  const help = await runHackd(['--help'])
  assert.deepEqual([help.code, help.stderr], [0, ''])
  for (const flag of ['--home', '--bind', '--port', '--log-level']) assert.ok(help.stdout.includes(flag))
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  assert.deepEqual(await runHackd(['--version']), { code: 0, stdout: `hackd ${version}\n`, stderr: '' })
})

test('a bad config is exit code 2, with every problem', async t => {
  const home = homeAt(join(temporaryFolder(t), 'home'))
  mkdirSync(home.root, { mode: 0o700 })
  writeFileSync(home.config, JSON.stringify({ controlPlane: { gateway: { port: -1, allowWrites: 'x' } } }), {
    mode: 0o600,
  })
  const { code, stdout, stderr } = await runHackd(['--home', home.root])
  assert.deepEqual([code, stdout], [2, ''])
  assert.match(stderr, /controlPlane\.gateway\.port: .*-1/)
  assert.match(stderr, /controlPlane\.gateway\.allowWrites: .*"x"/)
  assert.ok(!existsSync(home.pidFile), 'the lock is left behind')
})

test('a home whose socket path is too long is refused before anything is created', async t => {
  const home = join(temporaryFolder(t), 'x'.repeat(100))
  const { code, stderr } = await runHackd(['--home', home])
  assert.equal(code, 2)
  assert.match(stderr, /too long for a socket/)
  assert.ok(!existsSync(home))
})

test('files that others may read are refused, with commands that mend it', async t => {
  const { home, stop } = await runIdle(t)
  await stop()
  chmodSync(home.key, 0o644)
  chmodSync(home.daemon, 0o755)
  const { code, stderr } = await runHackd(['--home', home.root])
  assert.equal(code, 2)
  const mends = [...stderr.matchAll(/run: (chmod .*)$/gm)].map(([, command]) => command ?? '')
  assert.equal(mends.length, 2)
  for (const mend of mends) execFileSync('sh', ['-c', mend])
  const mended = await runIdle(t, home.root)
  assert.equal(mended.line, 'hackd waiting: no project is enabled')
  await mended.stop()
})

test('a second hackd on a home is exit code 3; on another home it runs', async t => {
  const { home, child } = await startHackd(t)
  const { code, stdout, stderr } = await runHackd(['--home', home.root, '--port', '0'])
  assert.deepEqual([code, stdout], [3, ''])
  assert.match(stderr, new RegExp(`pid ${child?.pid}.*hack daemon stop`))
  assert.equal((await runIdle(t)).line, 'hackd waiting: no project is enabled')
})

test('a lock that a crash left never blocks, whoever has its pid now', async t => {
  const hackd = await startHackd(t)
  await hackd.kill('SIGKILL')
  assert.ok(existsSync(hackd.home.pidFile))
  for (const left of [
    JSON.stringify({ pid: process.pid, startTime: 'another time' }),
    JSON.stringify({ pid: 2 ** 22 + 1, startTime: '1' }),
    '',
    '{ half',
    '4711\n',
  ]) {
    writeFileSync(hackd.home.pidFile, left, { mode: 0o600 })
    await hackd.start()
    assert.equal((await hackd.call('GET', '/v1/status')).body.pid, hackd.child?.pid)
    await hackd.kill('SIGTERM')
  }
})

test('a signal ends it with exit code 0, and lock and socket are gone', async t => {
  const hackd = await startHackd(t)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    assert.equal(statSync(hackd.home.socket).mode & 0o777, 0o600)
    assert.equal(await hackd.kill(signal), 0)
    assert.ok(!existsSync(hackd.home.pidFile))
    assert.ok(!existsSync(hackd.home.socket))
    await hackd.start()
  }
})

test('a port that is taken is a failure with advice', async t => {
  const hackd = await startHackd(t)
  await hackd.kill('SIGTERM')
  const server = createServer().listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? String(address?.port) : ''
  const { code, stdout, stderr } = await runHackd(['--home', hackd.home.root, '--port', port])
  assert.deepEqual([code, stdout], [1, ''])
  assert.match(stderr, /EADDRINUSE.*hackd --port/s)
  assert.ok(!existsSync(hackd.home.pidFile))
})

test('flags win over the config, and the admin socket tells the real port', async t => {
  const hackd = await startHackd(t)
  await hackd.kill('SIGTERM')
  await replaceJson(hackd.home.config, { controlPlane: { gateway: { port: 1, bind: '192.0.2.1' } } })
  hackd.log = ''
  await hackd.start('--bind', 'localhost', '--log-level', 'warn')
  assert.match(hackd.url, /^http:\/\/localhost:\d{4,5}$/)
  assert.equal((await hackd.call('GET', '/v1/status')).status, 200)
  const status = await adminClient(hackd.home).getStatus()
  assert.equal(status.ok && status.data.url, hackd.url)
  assert.equal(hackd.log, '')
})

test('an address beyond loopback is allowed, and warned about', async t => {
  const hackd = await startHackd(t)
  await hackd.kill('SIGTERM')
  await hackd.start('--bind', '0.0.0.0')
  assert.match(hackd.url, /^http:\/\/0\.0\.0\.0:\d{4,5}$/)
  assert.match(hackd.log, /tokens travel in plain text/)
})

test('it listens while a project is enabled', async t => {
  const hackd = await startHackd(t)
  const answers = () =>
    hackd.call('GET', '/v1/status').then(
      () => true,
      () => false,
    )
  const { url } = hackd
  await setEnabled(hackd.home, hackd.projectId, false)
  await eventually('the listener to close', async () => !(await answers()))
  const waiting = await adminClient(hackd.home).getStatus()
  assert.equal(waiting.ok && waiting.data.url, null)
  await setEnabled(hackd.home, hackd.projectId, true)
  await eventually('the listener to open again', () => hackd.url !== url)
  assert.ok(await answers())
})

test('a change of the config takes effect within a second; a broken one is reported and changes nothing', async t => {
  const hackd = await startHackd(t)
  const refusal = async () => (await hackd.call('POST', hackd.jobs(), {})).body.error
  assert.equal(await refusal(), 'missing_command')
  const since = performance.now()
  await replaceJson(hackd.home.config, { controlPlane: {} })
  await eventually('writes off', async () => (await refusal()) === 'writes_disabled')
  const took = performance.now() - since
  assert.ok(took < promisedMs + slackMs, `it took ${took} ms`)
  writeFileSync(hackd.home.config, '{"controlPlane":{"gateway":{"allowWrites":"yes"}}}')
  await eventually('the report', () => /gateway\.allowWrites.*last good config/.test(hackd.log))
  assert.equal(await refusal(), 'writes_disabled')
})

test('no log holds a secret, however the token was sent', async t => {
  const hackd = await startHackd(t)
  await hackd.kill('SIGTERM')
  await hackd.start('--log-level', 'trace')
  const { jobId } = await hackd.createJob({ command: ['true'], env: { SECRET: 'from-the-environment' } })
  const path = hackd.jobs(`/${jobId}/stream`)
  await fetch(`${hackd.url}/v1/status?token=${hackd.token}`)
  await fetch(`${hackd.url}/v1/status`, { headers: { 'x-hack-token': hackd.token } })
  await fetch(`${hackd.url}/v1/status`, { headers: { authorization: `Basic ${hackd.token}` } })
  await fetch(`${hackd.url}/%ff?token=${hackd.token}`)
  const socket = new WebSocket(`${hackd.url.replace('http', 'ws')}${path}?token=${hackd.token}`)
  await once(socket, 'open')
  socket.close()
  await once(socket, 'close')
  // base64url has an underscore of its own.
  const secret = hackd.token.split('_').slice(2).join('_')
  assert.ok(secret.length >= 40 && hackd.log.length > 0)
  for (const text of [hackd.log, readFileSync(hackd.home.audit, 'utf8')]) {
    assert.ok(!text.includes(secret.slice(0, 20)))
    assert.ok(!text.includes('from-the-environment'))
  }
})
