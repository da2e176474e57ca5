import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { RuntimeContainer } from '../../schemas/runtime.js'
import { GatewayError } from '../../src/errors.js'
import { Engine } from '../../src/runtime/engine.js'
import { type Discovery, Runtime, type RuntimeOptions } from '../../src/runtime/runtime.js'
import { noEngine, TestEngine } from '../docker-engine.js'
import { EngineProxy } from '../engine-proxy.js'
import { eventually } from '../eventually.js'
import { temporaryFolder } from '../temporary-folder.js'

let engine: TestEngine
before(async () => {
  if (!noEngine) engine = await TestEngine.start()
})
after(() => engine?.close())

/** Tests that need an engine are skipped by name, with the reason, where none can be started. */
const engineTest = (name: string, body: (t: TestContext) => Promise<void>) => test(name, { skip: noEngine }, body)

interface Watched {
  runtime: Runtime
  reports: string[]
  discoveries: Discovery[]
}

function watch(t: TestContext, socket: string, options: Partial<RuntimeOptions> = {}): Watched {
  const reports: string[] = []
  const discoveries: Discovery[] = []
  const runtime = new Runtime({
    endpoint: { configured: `unix://${socket}`, environment: {} },
    report: message => reports.push(message),
    discovered: found => discoveries.push(found),
    ...options,
  })
  t.after(() => runtime.close())
  return { runtime, reports, discoveries }
}

async function proxied(t: TestContext): Promise<{ proxy: EngineProxy; socket: string }> {
  const socket = join(temporaryFolder(t), 'proxy.sock')
  const proxy = new EngineProxy(engine.socket)
  await proxy.listen(socket)
  t.after(() => proxy.close())
  return { proxy, socket }
}

/** What `docker ps -a` prints of a project, in the order of names; old clients write IPv6 addresses without brackets. */
async function printed(project: string): Promise<string[]> {
  const format = '{{.Label "com.docker.compose.service"}}\t{{.Names}}\t{{.Status}}\t{{.Ports}}'
  const labels = [`com.docker.compose.project=${project}`, 'com.docker.compose.oneoff=False']
  const filters = labels.map(label => `--filter=label=${label}`)
  const text = await engine.docker('ps', '--all', ...filters, '--format', format)
  return text.replaceAll(' :::', ' [::]:').split('\n').filter(Boolean).sort()
}

function answered(runtime: Runtime, project: string): string[] {
  const { items } = runtime.ps({ compose_project: project })
  return items.map(({ Service, Name, Status, Ports }) => [Service, Name, Status, Ports].join('\t')).sort()
}

const ageless = (rows: string[]) => rows.map(row => row.replace(/(About an?|Less than a|\d+) (second|minute)s?/, 'AGE'))
const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

interface Rows {
  docker: string[]
  hackd: string[]
}

/** Waits until both say the same, and shows the difference when they never do. */
async function assertSame(look: () => Promise<Rows>): Promise<void> {
  let rows = await look()
  await eventually('the rows agree', async () => {
    rows = await look()
    return same(rows.docker, rows.hackd)
  }).catch(() => undefined)
  assert.deepEqual(rows.hackd, rows.docker)
}

/** The rows of a runtime that has been watching, and the very strings of one that looks for the first time. */
async function assertAgrees(t: TestContext, runtime: Runtime, project: string): Promise<void> {
  const watched = async () => ({ docker: ageless(await printed(project)), hackd: ageless(answered(runtime, project)) })
  await assertSame(watched)
  await assertSame(async () => {
    const { runtime: fresh } = watch(t, engine.socket)
    const docker = await printed(project)
    await eventually('the first snapshot', () => fresh.counters().cache_updated_at !== null)
    fresh.close()
    return { docker, hackd: answered(fresh, project) }
  })
}

const containersOf = (runtime: Runtime, project: string): RuntimeContainer[] =>
  runtime.project(project)?.services.flatMap(({ containers }) => containers) ?? []
const stateOf = (runtime: Runtime, project: string) => containersOf(runtime, project)[0]?.state

const composeFile = `version: "3.8"
services:
  web:
    image: busybox:test
    command: ["sleep", "3600"]
    stop_signal: SIGKILL
    ports: ["127.0.0.1::80", "8000", "53/udp"]
    expose: ["90", "91", "92"]
    healthcheck: { test: ["CMD", "test", "!", "-e", "/sick"], interval: 1s, timeout: 10s, retries: 1 }
  worker:
    image: busybox:test
    command: ["sleep", "3600"]
    stop_signal: SIGKILL
    network_mode: none
  broken:
    image: busybox:test
    command: ["sh", "-c", "exit 3"]
    network_mode: none
`

engineTest('through the life of a Compose project, every row is what docker ps -a prints', async t => {
  const repository = mkdtempSync(join(tmpdir(), 'hackd-compose-'))
  const folder = join(repository, '.hack')
  mkdirSync(folder)
  writeFileSync(join(folder, 'docker-compose.yml'), composeFile)
  const compose = (...args: string[]) => engine.compose(folder, '--project-name', 'shop', ...args)
  t.after(async () => {
    await compose('down', '--timeout', '0', '--remove-orphans')
    rmSync(repository, { recursive: true })
  })
  const { runtime, discoveries } = watch(t, engine.socket)

  await compose('up', '--detach', '--scale', 'worker=2')
  await eventually('web is healthy', () => /healthy\)/.test(answered(runtime, 'shop').join()))
  await assertAgrees(t, runtime, 'shop')
  const names = runtime.project('shop')?.services.map(({ service, containers }) => [service, containers.length])
  assert.deepEqual(names, [['broken', 1], ['web', 1], ['worker', 2]]) // biome-ignore format: a table
  assert.equal(runtime.project('shop')?.working_dir, folder)
  assert.deepEqual(discoveries, [{ composeProject: 'shop', projectDir: folder }])

  await compose('run', '--detach', 'worker', 'sleep', '3600')
  await compose('exec', '-T', 'web', 'touch', '/sick')
  await eventually('web is unhealthy', () => answered(runtime, 'shop').join().includes('(unhealthy)'))
  await assertAgrees(t, runtime, 'shop')

  await compose('pause', 'worker')
  await eventually('both workers are paused', () => answered(runtime, 'shop').join().split('(Paused)').length === 3)
  await assertAgrees(t, runtime, 'shop')
  await compose('unpause', 'worker')

  await compose('kill', 'worker')
  await eventually('both workers are gone', () => answered(runtime, 'shop').join().split('Exited (137)').length === 3)
  await assertAgrees(t, runtime, 'shop')

  await compose('up', '--detach', '--scale', 'worker=1')
  await assertAgrees(t, runtime, 'shop')
  await compose('stop', '--timeout', '0')
  await assertAgrees(t, runtime, 'shop')
  assert.ok(containersOf(runtime, 'shop').every(({ state }) => state === 'exited'))

  await compose('down', '--timeout', '0', '--remove-orphans')
  await eventually('nothing is left', () => runtime.project('shop') === null)
  assert.deepEqual(runtime.ps({ compose_project: 'shop' }).items, [])
})

engineTest('containers that were only created, that restart for ever and that have branches', async t => {
  const { runtime } = watch(t, engine.socket)
  const ids = [
    await engine.container({ project: 'blog', service: 'idle', start: false }, 'sleep', '1'),
    await engine.container({ project: 'blog', service: 'loop', args: ['--restart=always'] }, 'false'),
    await engine.container({ project: 'blog--new-look', service: 'idle' }, 'sleep', '3600'),
    await engine.container({ project: 'blog--', service: 'idle', start: false }, 'sleep', '3600'),
  ]
  t.after(() => engine.docker('rm', '--force', ...ids))
  await eventually('the loop restarts', async () => (await printed('blog')).join().includes('Restarting'))
  await eventually('the watched rows say so', () => answered(runtime, 'blog').join().includes('Restarting (1)'))
  assert.match(answered(runtime, 'blog').join(), /\tCreated\t/)
  const branches = runtime.branches('blog').map(({ branch, runtime: { project } }) => [branch, project])
  assert.deepEqual(branches, [['new-look', 'blog--new-look']])
})

/** Right after a change the engine may still take the container for what it was (409): it is asked again. */
async function changed(change: () => Promise<unknown>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await change()
      return
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode !== 409 || tries > 100) throw error
      await delay(10)
    }
  }
}

engineTest('500 stops and starts in 10 s cost at most 5 lists a second, and never two at a time', async t => {
  const { proxy, socket } = await proxied(t)
  const { runtime } = watch(t, socket)
  const id = await engine.container({ project: 'storm', service: 'eye' }, 'sleep', '3600')
  t.after(() => engine.docker('rm', '--force', id))
  await eventually('it is seen', () => stateOf(runtime, 'storm') === 'running')
  const seen = runtime.counters().events_seen
  const counted = proxy.lists().length
  const began = performance.now()
  const client = await Engine.connect({ kind: 'unix', path: engine.socket }, 60_000)
  t.after(() => client.close())
  const container = client.docker.getContainer(id)
  // A real stop and start takes this engine half a second: a pause changes a row just as well.
  for (let round = 0; round < 250; round++) {
    await changed(() => container.pause())
    await changed(() => container.unpause())
    await delay(Math.max(0, began + round * 40 - performance.now()))
  }
  await container.kill()
  await eventually('the end is seen', () => stateOf(runtime, 'storm') === 'exited')
  const seconds = (performance.now() - began) / 1000
  // 250 pauses, 250 resumptions, a signal and an end; `stop` and the like may follow.
  await eventually('every event was counted', () => runtime.counters().events_seen - seen >= 502)
  const lists = proxy.lists()
  assert.ok(lists.length - counted <= 5 * seconds + 1, `${lists.length - counted} lists in ${seconds} s`)
  for (const [index, { endedAt, startedAt }] of lists.entries()) {
    const next = lists[index + 1]
    if (next) assert.ok(endedAt !== undefined && endedAt <= next.startedAt, 'two lists at a time')
    assert.ok(lists.filter(list => list.startedAt >= startedAt && list.startedAt < startedAt + 1000).length <= 5)
  }
})

engineTest('200 containers in 20 projects, seen over tcp, are one list', async t => {
  const { docker } = await Engine.connect({ kind: 'unix', path: engine.socket }, 60_000)
  const create = async (index: number) => {
    const labels = { project: `many-${index % 20}`, service: `s${Math.floor(index / 40)}`, oneoff: 'False' }
    const Labels = Object.fromEntries(
      Object.entries(labels).map(([key, value]) => [`com.docker.compose.${key}`, value]),
    )
    const name = `many-${index % 20}_${index}`
    return docker.createContainer({ Image: engine.image, name, Labels, HostConfig: { NetworkMode: 'none' } })
  }
  const containers = await Promise.all(Array.from({ length: 200 }, (_, index) => create(index)))
  t.after(() => engine.docker('rm', '--force', ...containers.map(({ id }) => id)))
  const proxy = new EngineProxy(engine.socket)
  t.after(() => proxy.close())
  const configured = `tcp://127.0.0.1:${await proxy.listenTcp()}`
  const { runtime } = watch(t, '', { endpoint: { configured, environment: {} } })
  await eventually('the first snapshot', () => runtime.counters().cache_updated_at !== null)
  const many = [...runtime.projects()].filter(({ project }) => project.startsWith('many-'))
  assert.deepEqual(
    many.map(({ project }) => project),
    Array.from({ length: 20 }, (_, index) => `many-${index}`),
  )
  for (const { services } of many) {
    assert.deepEqual(
      services.map(({ service, containers }) => [service, containers.length]),
      [0, 1, 2, 3, 4].map(n => [`s${n}`, 2]),
    )
  }
  assert.equal(proxy.lists().filter(({ endedAt }) => endedAt === undefined).length, 0)
})

engineTest('what happens inside a container is counted, and costs no list', async t => {
  const { runtime } = watch(t, engine.socket)
  const id = await engine.container({ project: 'quiet', service: 'one' }, 'sleep', '3600')
  t.after(() => engine.docker('rm', '--force', id))
  await eventually('it is seen', () => stateOf(runtime, 'quiet') === 'running')
  // An event is looked into three times, and the last time two seconds later.
  await eventually('its start has been worked off', () => (runtime.counters().cache_age_ms ?? 0) > 2500)
  const { events_seen, refresh_count } = runtime.counters()
  await engine.docker('exec', id, 'true')
  await eventually(
    'exec_create, exec_start and exec_die arrived',
    () => runtime.counters().events_seen >= events_seen + 3,
  )
  await new Promise(resolve => setTimeout(resolve, 300))
  assert.equal(runtime.counters().refresh_count, refresh_count)
})

engineTest('an end is shown though the engine announces it before its own lists do', async t => {
  const { runtime } = watch(t, engine.socket)
  for (let round = 0; round < 10; round++) {
    const id = await engine.container({ project: 'brief', service: 'one' }, 'sleep', '3600')
    await eventually('it is seen', () => stateOf(runtime, 'brief') === 'running')
    await engine.docker('kill', id)
    // Sooner than a question over an old snapshot would bring it to light.
    await eventually('its end is seen', () => stateOf(runtime, 'brief') === 'exited', 9000)
    await engine.docker('rm', id)
    await eventually('it is gone', () => runtime.project('brief') === null)
  }
})

engineTest(
  'an engine that hangs: answers from memory go on, the views say that nothing is known, and it is found again',
  async t => {
    const { proxy, socket } = await proxied(t)
    const { runtime, reports } = watch(t, socket, { deadlineMs: 500 })
    const id = await engine.container({ project: 'still', service: 'one' }, 'sleep', '3600')
    t.after(() => engine.docker('rm', '--force', id))
    await eventually('it is seen', () => stateOf(runtime, 'still') === 'running')
    const before = runtime.counters()
    proxy.hang()
    await eventually('a question brings the failure to light', () => runtime.project('still') === null)
    assert.equal(runtime.ps({ compose_project: 'still' }).items.length, 1, 'the last known rows, with their age')
    assert.ok(runtime.ps({ compose_project: 'still' }).cache_age_ms >= 500)
    await eventually('failures are counted', () => runtime.counters().refresh_failures >= before.refresh_failures + 2)
    assert.equal(reports.length, 1, 'reported once')
    assert.match(String(reports[0]), /no answer within 500 ms/)
    await engine.docker('kill', id)
    proxy.resume()
    await eventually('the truth is back', () => stateOf(runtime, 'still') === 'exited')
    assert.equal(reports.length, 2)
  },
)

engineTest('an engine that is stopped and started again is shown as it is, without a restart of ours', async t => {
  const { runtime } = watch(t, engine.socket)
  await engine.container({ project: 'phoenix', service: 'one' }, 'sleep', '3600')
  await eventually('it is seen', () => stateOf(runtime, 'phoenix') === 'running')
  await engine.down()
  await eventually('nothing is known', () => runtime.project('phoenix') === null)
  assert.equal(runtime.ps({ compose_project: 'phoenix' }).items.length, 1)
  await engine.up()
  await eventually('its end is seen', () => stateOf(runtime, 'phoenix') === 'exited')
  const seen = runtime.counters().events_seen
  await engine.container({ project: 'phoenix', service: 'two' }, 'sleep', '3600')
  await eventually('events arrive again', () => runtime.counters().events_seen > seen)
  await eventually('the new one is seen', () => containersOf(runtime, 'phoenix').length === 2)
  await assertAgrees(t, runtime, 'phoenix')
  await engine.docker('rm', '--force', ...containersOf(runtime, 'phoenix').map(({ id }) => id))
})

engineTest('asked over a snapshot older than 10 s, ages go on', async t => {
  const { proxy, socket } = await proxied(t)
  const id = await engine.container({ project: 'aging', service: 'one' }, 'sleep', '3600')
  t.after(() => engine.docker('rm', '--force', id))
  const { runtime } = watch(t, socket)
  await eventually('10 s without an event', () => (runtime.counters().cache_age_ms ?? 0) > 10_100, 30_000)
  const listed = proxy.lists().length
  const old = answered(runtime, 'aging').join()
  await eventually('the age went on', () => answered(runtime, 'aging').join() !== old)
  assert.equal(proxy.lists().length, listed + 1, 'one question, one list')
})

test('without an engine nothing is made up, and nothing fails but the list that needs one', async t => {
  const { runtime, reports } = watch(t, join(temporaryFolder(t), 'nobody.sock'))
  await eventually('it was tried twice', () => runtime.counters().refresh_failures >= 2)
  assert.equal(runtime.project('any'), null)
  assert.deepEqual(runtime.branches('any'), [])
  const unavailable = (error: unknown) => error instanceof GatewayError && error.code === 'runtime_unavailable'
  assert.throws(() => runtime.ps({ compose_project: 'any' }), unavailable)
  const { cache_updated_at, cache_age_ms, last_refresh_at, events_seen } = runtime.counters()
  assert.deepEqual([cache_updated_at, cache_age_ms, events_seen], [null, null, 0])
  assert.notEqual(last_refresh_at, null)
  assert.equal(reports.length, 1)
  assert.match(String(reports[0]), /ENOENT/)
})

test('a socket that takes connections and never answers is given up at each deadline', async t => {
  const socket = join(temporaryFolder(t), 'mute.sock')
  let open = 0
  const server = createServer(connection => {
    open++
    connection
      .on('error', () => undefined)
      .on('close', () => open--)
      .resume()
  })
  await new Promise<void>(resolve => server.listen(socket, resolve))
  t.after(() => server.close())
  const { runtime } = watch(t, socket, { deadlineMs: 100 })
  await eventually('three deadlines passed', () => runtime.counters().refresh_failures >= 3)
  runtime.close()
  await eventually('no connection is left', () => open === 0)
})
