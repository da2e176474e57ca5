import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import { endProcesses } from '../../src/runtime/container-processes.js'
import { Engine } from '../../src/runtime/engine.js'
import { noEngine, TestEngine } from '../docker-engine.js'
import { eventually } from '../eventually.js'

let engine: TestEngine
before(async () => {
  if (!noEngine) engine = await TestEngine.start()
})
after(() => engine?.close())

/** A container that goes on, and a job's processes in it. */
async function startIn(t: TestContext, script: string) {
  const container = await engine.container({ project: 'demo', service: 'web' }, 'sleep', '3600')
  t.after(() => engine.docker('rm', '--force', container))
  const client = await Engine.connect({ kind: 'unix', path: engine.socket }, 60_000)
  t.after(() => client.close())
  await engine.docker('exec', '--detach', '--env', 'A=1', '--env', 'HACK_JOB_ID=mine', container, 'sh', '-c', script)
  await engine.docker('exec', '--detach', '--env', 'HACK_JOB_ID=mine2', container, 'sleep', '777')
  const commands = async () => {
    const rows = (await engine.docker('top', container, '-o', 'pid,args')).split('\n').slice(1)
    return rows.map(row => row.trim().replace(/^\d+ +/, ''))
  }
  await eventually('both to run', async () => {
    const text = (await commands()).join('\n')
    return text.includes('sleep 777') && text.includes('sleep 888')
  })
  return { container, client, commands }
}

test("the container's own means end a polite job with TERM, and nobody else's", { skip: noEngine }, async t => {
  const { container, client, commands } = await startIn(t, 'sleep 888 & wait')
  assert.equal(await endProcesses(client, container, 'mine', 20_000), 'SIGTERM')
  assert.deepEqual((await commands()).toSorted(), ['sleep 3600', 'sleep 777'])
})

test('a stubborn one, its double fork and a child without the mark are killed', { skip: noEngine }, async t => {
  const script = `trap '' TERM; (setsid sh -c "trap '' TERM; sleep 888 & sleep 889" &); env -i sleep 890 & while :; do sleep 1; done`
  const { container, client, commands } = await startIn(t, script)
  assert.equal(await endProcesses(client, container, 'mine', 300), 'SIGKILL')
  assert.deepEqual((await commands()).toSorted(), ['sleep 3600', 'sleep 777'])
  assert.equal(await endProcesses(client, container, 'mine', 20_000), 'SIGTERM', 'nothing is left to end')
})

test('a container without the means says so', { skip: noEngine }, async t => {
  const { container, client } = await startIn(t, 'sleep 888')
  await engine.docker('exec', container, 'rm', '/bin/sh')
  await assert.rejects(endProcesses(client, container, 'mine', 100), /cannot end its processes.*"sh"/)
})
