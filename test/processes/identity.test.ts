import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { identify, isAlive, parseStat, statProcess } from '../../src/processes/identity.js'

test('a process is itself until it ends; a recycled pid is not it', async t => {
  const child = spawn('sleep', ['60'])
  t.after(() => child.kill('SIGKILL'))
  const identity = identify(child.pid ?? 0)
  assert.ok(identity && isAlive(identity))
  assert.ok(!isAlive({ ...identity, startTime: '1@earlier' }))
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.ok(!isAlive(identity))
  assert.equal(statProcess(identity.pid), undefined)
})

test('a zombie is dead', async t => {
  const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] })
  t.after(() => parent.kill('SIGKILL'))
  const [line] = await once(parent.stdout, 'data')
  const pid = Number(line)
  while (statProcess(pid)?.state !== 'Z') await new Promise(resolve => setTimeout(resolve, 10))
  assert.equal(identify(pid), undefined)
  assert.ok(!isAlive({ pid, startTime: statProcess(pid)?.startTime ?? '' }))
})

test('pids that are none name nobody', () => {
  for (const pid of [0, -1, 1.5, Number.NaN, 2 ** 31]) assert.equal(statProcess(pid), undefined)
})

test('a command may hold spaces and parentheses', () => {
  const stat = readFileSync('/proc/self/stat', 'latin1')
  const odd = stat.replace(/\(.*\)/, '(a) b) (c 1 2 3)')
  assert.deepEqual(parseStat(odd), parseStat(stat))
  for (const text of ['', 'x', '12', '12 (a)', '12 (a) R 1 2']) assert.equal(parseStat(text), undefined)
})

test('who is out of descriptors takes nobody for dead', () => {
  const module = new URL('../../src/processes/identity.js', import.meta.url).href
  const script = `
    import { openSync } from 'node:fs'
    const { identify, isAlive } = await import(${JSON.stringify(module)})
    const parent = identify(process.ppid)
    try { for (;;) openSync('/dev/null') } catch (error) { process.exitCode = error.code === 'EMFILE' ? 0 : 1 }
    process.stdout.write(String(isAlive(parent)))`
  const node = [process.execPath, '--input-type=module', '-e', script]
  assert.equal(execFileSync('sh', ['-c', 'ulimit -n 64; "$@"; exit $?', 'sh', ...node], { encoding: 'utf8' }), 'true')
})
