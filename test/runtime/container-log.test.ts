import assert from 'node:assert/strict'
import { delimiter } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openContainerLog } from '../../src/runtime/container-log.js'
import { type Endpoint, parseEndpoint } from '../../src/runtime/endpoint.js'
import { Engine } from '../../src/runtime/engine.js'
import { collect } from '../collect.js'
import { noEngine, TestEngine } from '../docker-engine.js'
import { EngineProxy } from '../engine-proxy.js'
import { eventually } from '../eventually.js'
import { temporaryFolder } from '../temporary-folder.js'

let host: TestEngine
before(async () => {
  if (!noEngine) host = await TestEngine.start()
})
after(() => host?.close())
const engineTest = (name: string, body: (t: TestContext) => Promise<void>) => test(name, { skip: noEngine }, body)

async function connect(t: TestContext, endpoint: Endpoint = { kind: 'unix', path: host.socket }): Promise<Engine> {
  const engine = await Engine.connect(endpoint, 10_000)
  t.after(() => engine.close())
  return engine
}

/** Starts a container of a service that runs a shell script. */
async function script(t: TestContext, text: string, ...args: string[]): Promise<string> {
  const id = await host.container({ project: 'logs', service: 'one', args }, 'sh', '-c', text)
  t.after(() => host.docker('rm', '--force', id))
  return id
}

async function read(source: AsyncIterable<Buffer>): Promise<string> {
  return Buffer.concat(await collect(source)).toString()
}

const never = new AbortController().signal

engineTest('a log is stdout and stderr, whole, until the container ends', async t => {
  const engine = await connect(t)
  const id = await script(t, 'for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 0.1; done; printf end')
  const text = await read(await openContainerLog(engine, id, { follow: true }, never))
  assert.equal(text.replaceAll(/err \d\n/g, ''), 'out 1\nout 2\nout 3\nend')
  assert.equal(text.replaceAll(/out \d\n|end/g, ''), 'err 1\nerr 2\nerr 3\n')
  assert.equal(await read(await openContainerLog(engine, id, { follow: false }, never)), text)
})

engineTest('a last line without a newline is not lost, wherever the log begins', async t => {
  const engine = await connect(t)
  for (let round = 0; round < 5; round++) {
    const id = await script(t, 'echo one; while [ ! -e /end ]; do sleep 0.02; done; printf two; printf three >&2')
    await eventually('the first line is there', async () => (await host.docker('logs', id)) === 'one')
    const logs = await Promise.all(
      [{}, { tail: 1 }, { tail: 0 }].map(start => openContainerLog(engine, id, { follow: true, ...start }, never)),
    )
    await host.docker('exec', id, 'touch', '/end')
    const [whole, last, none] = await Promise.all(logs.map(read))
    assert.match(whole ?? '', /^one\n(twothree|threetwo)$/)
    assert.equal(last, whole)
    // Nothing tells what came after an empty beginning: the engine's word stands.
    assert.ok(whole?.endsWith(none ?? 'nothing'))
  }
})

engineTest('a log that begins in the middle of the last words does not double them', async t => {
  const engine = await connect(t)
  const id = await script(t, 'printf two; sleep 0.2; printf three >&2')
  await eventually('it has ended', async () => /Exited/.test(await host.docker('ps', '-a', '--filter', `id=${id}`)))
  // Which of two lines without an end the engine writes last, it decides anew each time.
  const last = await read(await openContainerLog(engine, id, { follow: false, tail: 1 }, never))
  assert.match(last, /^(two|three)$/)
  assert.equal(await read(await openContainerLog(engine, id, { follow: true, tail: 1 }, never)), last)
})

engineTest('a log can begin at the last lines, or at a time', async t => {
  const engine = await connect(t)
  const id = await script(t, 'echo old; sleep 1.5; date +%s >/tmp/t; echo new; exec sleep 3600')
  const whole = () => openContainerLog(engine, id, { follow: false }, never).then(read)
  await eventually('both lines are there', async () => (await whole()) === 'old\nnew\n')
  assert.equal(await read(await openContainerLog(engine, id, { follow: false, tail: 1 }, never)), 'new\n')
  const since = Number(await host.docker('exec', id, 'cat', '/tmp/t'))
  assert.equal(await read(await openContainerLog(engine, id, { follow: false, since }, never)), 'new\n')
  assert.equal(await read(await openContainerLog(engine, id, { follow: false, tail: 0 }, never)), '')
})

engineTest('the log of a container with a terminal has no frames, and is passed on as it is', async t => {
  const id = await script(t, 'echo one; echo two >&2', '--tty')
  const log = await openContainerLog(await connect(t), id, { follow: true }, never)
  assert.equal(await read(log), 'one\r\ntwo\r\n')
})

engineTest('a log that is not read stays with the engine', async t => {
  const id = await script(t, 'dd if=/dev/zero bs=1024 count=20000 2>/dev/null | tr "\\0" x')
  await host.docker('wait', id)
  const before = process.memoryUsage().rss
  const log = await openContainerLog(await connect(t), id, { follow: true }, never)
  let bytes = 0
  for await (const chunk of log) {
    if (bytes === 0) await new Promise(resolve => setTimeout(resolve, 500))
    if (bytes === 0)
      assert.ok(process.memoryUsage().rss - before < 15 * 2 ** 20, 'a paused reader holds next to nothing')
    bytes += chunk.length
  }
  assert.equal(bytes, 20_000 * 1024)
})

engineTest('an abort ends a quiet stream, and its connection', async t => {
  const socket = `${temporaryFolder(t)}/proxy.sock`
  const proxy = new EngineProxy(host.socket)
  await proxy.listen(socket)
  t.after(() => proxy.close())
  const id = await script(t, 'exec sleep 3600')
  const abort = new AbortController()
  const log = await openContainerLog(
    await connect(t, { kind: 'unix', path: socket }),
    id,
    { follow: true },
    abort.signal,
  )
  const ended = read(log)
  setTimeout(() => abort.abort(), 50)
  assert.equal(await ended, '')
  const calls = () => proxy.calls.filter(({ path }) => path.includes('/logs'))
  await eventually('the engine is told', () => calls().length === 1 && calls()[0]?.endedAt !== undefined)
})

engineTest("a container that is not there is refused in the engine's words", async t => {
  await assert.rejects(
    openContainerLog(await connect(t), 'nobody', { follow: true }, never),
    /No such container: nobody/,
  )
})

engineTest('an engine is reached over ssh as docker itself reaches it', async t => {
  const { PATH, DOCKER_HOST } = process.env
  t.after(() => Object.assign(process.env, { PATH }, DOCKER_HOST === undefined ? {} : { DOCKER_HOST }))
  process.env.PATH = [fileURLToPath(new URL('../../../test/fixtures/ssh', import.meta.url)), PATH].join(delimiter)
  const id = await script(t, 'echo from afar')
  const engine = await connect(t, parseEndpoint(`ssh://me@box${host.socket}`))
  const rows = await engine.list()
  assert.ok(rows.some(({ Id }) => Id === id))
  assert.equal(await read(await openContainerLog(engine, id, { follow: true }, never)), 'from afar\n')
  const nowhere = await connect(t, parseEndpoint('ssh://nowhere'))
  await assert.rejects(nowhere.list(), /Could not resolve hostname nowhere/)
})
