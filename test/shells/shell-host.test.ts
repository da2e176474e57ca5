import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { shellEnvironment } from '../../src/shells/shell-environment.js'
import { eventually } from '../eventually.js'
import { buildHost, watch } from './build-host.js'

const isGone = (pid: number) => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ')
  } catch {
    return true
  }
}
const pidsIn = (text: string) => [...text.matchAll(/pid=(\d+)/g)].map(([, pid]) => Number(pid))

test('a shell has its size, folder and environment, and answers to what is typed', async t => {
  const { host, project, root, open } = buildHost(t)
  mkdirSync(join(root, 'inner'))
  const ref = await open({
    cols: 101,
    rows: 33,
    cwd: 'inner',
    shell: '/bin/sh',
    env: { GREETING: 'hello there', TERM: 'vt100' },
  })
  const shell = await watch(host, ref)
  await host.input(ref, Buffer.from('stty size; pwd; echo "$GREETING/$TERM/$COLORTERM/$HACK_SHELL_ID/"; exit 7\n'))
  assert.deepEqual(await shell.done, { type: 'exit', exitCode: 7, signal: null })
  for (const part of ['33 101', join(root, 'inner'), `hello there/vt100/truecolor/${ref.shellId}/`])
    assert.ok(shell.text.includes(part), part)
  const { createdAt, updatedAt, pid, ...meta } = host.get(ref)
  assert.ok(createdAt < updatedAt && pid)
  assert.deepEqual(meta, {
    ...{ shellId: ref.shellId, status: 'exited', projectId: project.id, projectName: project.name },
    ...{ cwd: join(root, 'inner'), shell: '/bin/sh', cols: 101, rows: 33, exitCode: 7, signal: null },
  })
})

test('the environment is like that of a login, without a word of hackd', () => {
  const inherited = {
    PATH: '/bin',
    SHELL: '/bin/zsh',
    HACK_HOME: '/h',
    NOTIFY_SOCKET: '/n',
    TMUX: '/t',
    COLUMNS: '3',
    EDITOR: 'vi',
  }
  const { HOME, USER, LOGNAME, ...rest } = shellEnvironment(inherited)
  assert.ok(HOME && USER && LOGNAME)
  const own = { LANG: 'C.UTF-8', TERM: 'xterm-256color', COLORTERM: 'truecolor' }
  assert.deepEqual(rest, { PATH: '/bin', SHELL: '/bin/zsh', EDITOR: 'vi', ...own })
  assert.equal(shellEnvironment({ LC_CTYPE: 'de_DE.UTF-8' }).LANG, undefined)
  assert.match(shellEnvironment({}).PATH ?? '', /\/usr\/bin/)
})

test('what cannot be opened is refused by its code', async t => {
  const { root, open, limits } = buildHost(t)
  writeFileSync(join(root, 'plain'), 'no program')
  writeFileSync(join(root, 'secret'), '')
  chmodSync(join(root, 'secret'), 0o600)
  symlinkSync('/', join(root, 'out'))
  for (const shell of ['', '/nowhere', 'plain', '/tmp', 'bash\0', './plain/x'])
    await assert.rejects(open({ shell }), { code: 'invalid_shell' }, shell)
  for (const cwd of ['..', '/', 'out', 'plain', 'nowhere'])
    await assert.rejects(open({ cwd }), { code: 'invalid_cwd' }, cwd)
  limits.max = 0
  await assert.rejects(open(), { code: 'too_many_shells' })
})

test('no more run than the limit allows, however many ask at once; one that ends makes room', async t => {
  const { host, run, limits } = buildHost(t, { max: 3 })
  const asked = await Promise.allSettled(Array.from({ length: 10 }, () => run('read end')))
  const opened = asked.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []))
  assert.equal(opened.length, 3)
  for (const result of asked) if (result.status === 'rejected') assert.equal(result.reason.code, 'too_many_shells')
  const [first] = opened
  if (first) await host.input(first, Buffer.from('\n'))
  await eventually('there is room', () => host.running === 2)
  await run('read end')
  assert.equal(host.running, limits.max)
})

test('a project sees its own shells only', async t => {
  const { host, project, open } = buildHost(t)
  const ref = await open()
  assert.deepEqual(
    host.list(project.id).map(shell => shell.shellId),
    [ref.shellId],
  )
  assert.deepEqual(host.list('other'), [])
  const stranger = { ...ref, projectId: 'other' }
  assert.throws(() => host.get(stranger), { code: 'shell_not_found' })
  await assert.rejects(host.input(stranger, Buffer.from('x')), { code: 'shell_not_found' })
  await assert.rejects(host.attach(stranger), { code: 'shell_not_found' })
  await assert.rejects(host.end(stranger), { code: 'shell_not_found' })
})

test('signals reach the process group in the foreground, and the shell survives them', async t => {
  const { host, open } = buildHost(t)
  const ref = await open({ shell: '/bin/bash' })
  const shell = await watch(host, ref)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const) {
    const from = shell.bytes.length
    await host.input(ref, Buffer.from(`ulimit -c 0; sh -c 'echo pid=$$; exec sleep 50'\n`))
    await eventually('it runs', () => pidsIn(shell.bytes.subarray(from).toString()).length > 0)
    const [pid = 0] = pidsIn(shell.bytes.subarray(from).toString())
    await eventually('it is in the foreground', () => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n')
    host.signal(ref, signal)
    await eventually(`${signal} ended it`, () => isGone(pid))
    assert.equal(host.get(ref).status, 'running', signal)
  }
  await host.input(ref, Buffer.from('sleep 50\n'))
  await shell.has('sleep 50\r\n')
  await eventually('it stopped', () => {
    host.signal(ref, 'SIGTSTP')
    return shell.text.includes('Stopped')
  })
})

test('ending a shell ends its whole tree: nohup, stopped, setsid, double-forked, deaf', async t => {
  const { host, open } = buildHost(t, { graceMs: 300 })
  const ref = await open({ shell: '/bin/bash' })
  const shell = await watch(host, ref)
  const programs = [
    `sh -c 'echo pid=$$; exec nohup sleep 60 >/dev/null 2>&1' &`,
    `setsid sh -c 'echo pid=$$; exec sleep 60' &`,
    `(sh -c 'echo pid=$$; exec sleep 60' &)`,
    `sh -c 'trap "" HUP TERM; echo pid=$$; while :; do sleep 0.1; done' &`,
    `sh -c 'echo pid=$$; kill -STOP $$; sleep 60' &`,
  ]
  for (const program of programs) await host.input(ref, Buffer.from(`${program}\n`))
  const pids = () => pidsIn(shell.text.replaceAll('pid=$$', ''))
  await eventually('all run', () => pids().length >= programs.length)
  const meta = await host.end(ref)
  assert.equal(meta.status, 'exited')
  assert.equal(meta.exitCode, undefined)
  assert.ok(['SIGHUP', 'SIGKILL'].includes(meta.signal ?? ''), String(meta.signal))
  for (const pid of pids()) assert.ok(isGone(pid), `${pid} lives on`)
  const exit = await shell.done
  assert.equal(exit?.exitCode, null)
  await assert.rejects(host.end(ref), { code: 'shell_not_running' })
})

test('a shell that exits by itself leaves alone what it left running', async t => {
  const { host, open } = buildHost(t)
  const ref = await open({ shell: '/bin/bash' })
  const shell = await watch(host, ref)
  await host.input(ref, Buffer.from(`setsid sh -c 'echo pid=$$; exec sleep 30' & sleep 0.3; exit\n`))
  await shell.done
  const [pid = 0] = pidsIn(shell.text.replaceAll('pid=$$', ''))
  assert.ok(!isGone(pid))
  process.kill(pid)
})

test('an exited shell is kept for its time, and so is its output', async t => {
  const { host, project, run, limits } = buildHost(t)
  const ref = await run('echo out; exit 2')
  await eventually('it exits', () => host.get(ref).status === 'exited')
  for (const from of [undefined, undefined, 0]) {
    const late = await watch(host, ref, from)
    assert.deepEqual(await late.done, { type: 'exit', exitCode: 2, signal: null })
    assert.ok(late.text.includes('out'))
  }
  host.resize(ref, 90, 40)
  host.signal(ref, 'SIGINT')
  await host.input(ref, Buffer.from('nobody reads this'))
  limits.exitedTtlMinutes = 0
  assert.throws(() => host.get(ref), { code: 'shell_not_found' })
  assert.deepEqual(host.list(project.id), [])
})

test('a shell without output and viewer is ended after its time, one with either is not', async t => {
  const { host, run } = buildHost(t, { idleMinutes: 1 / 60 })
  const idle = await run('read end')
  const busy = await run('while :; do echo busy; sleep 0.1; done')
  const watched = await run('read end')
  await watch(host, watched)
  await eventually('the idle one ends', () => host.get(idle).status === 'exited')
  assert.equal(host.get(idle).signal, 'SIGHUP')
  await delay(1200)
  assert.equal(host.get(busy).status, 'running')
  assert.equal(host.get(watched).status, 'running')
})

test('when the host closes, shells end, viewers hear of it, and nothing new begins', async t => {
  const { host, open, run } = buildHost(t, { graceMs: 300 })
  const polite = await open({ shell: '/bin/bash' })
  const deaf = await run(`trap '' HUP; echo deaf; while :; do sleep 0.05; done`)
  const watches = [await watch(host, polite), await watch(host, deaf)]
  await eventually('both run', () => watches.every(one => one.text.length > 0))
  const closing = host.close()
  await assert.rejects(open(), { code: 'shutting_down' })
  await closing
  const exits = await Promise.all(watches.map(one => one.done))
  assert.deepEqual(
    exits.map(exit => exit?.signal),
    ['SIGHUP', 'SIGKILL'],
  )
  assert.equal(host.get(polite).signal, 'SIGHUP')
  assert.equal(host.get(deaf).signal, 'SIGKILL')
})

test('opening and closing many shells gives everything back', async t => {
  const { host, run } = buildHost(t, { exitedTtlMinutes: 0 })
  const count = () => readdirSync('/proc/self/fd').length
  const cycle = async () => {
    const ref = await run('read end')
    const shell = await watch(host, ref)
    await host.input(ref, Buffer.from('\n'))
    await shell.done
  }
  await cycle()
  const before = count()
  for (let round = 0; round < Number(process.env.HACKD_TEST_SHELLS ?? 60); round += 6)
    await Promise.all(Array.from({ length: 6 }, cycle))
  await eventually('the descriptors are closed', () => count() <= before)
})
