import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import type { ProjectList } from '../../schemas/projects.js'
import type { PsReply } from '../../schemas/runtime.js'
import type { Metrics } from '../../schemas/status.js'
import { createToken } from '../../src/auth/token-file.js'
import { readProjects } from '../../src/projects/project-file.js'
import { noEngine, TestEngine } from '../docker-engine.js'
import { EngineProxy } from '../engine-proxy.js'
import { eventually } from '../eventually.js'
import { type Hackd, JobStream, startHackd } from '../hackd.js'
import { temporaryFolder } from '../temporary-folder.js'

let engine: TestEngine
before(async () => {
  if (!noEngine) engine = await TestEngine.start()
})
after(() => engine?.close())
const engineTest = (name: string, body: (t: TestContext) => Promise<void>) => test(name, { skip: noEngine }, body)

/** hackd with one project, `demo`, and an engine. */
const start = (t: TestContext, socket = engine.socket) =>
  startHackd(t, { config: { runtime: { dockerHost: `unix://${socket}` } } })

const refusal = async (hackd: Hackd, path: string, headers?: Record<string, string>) => {
  const { status, body } = await hackd.call('GET', path, undefined, headers)
  return [status, body.error]
}

async function service(
  t: TestContext,
  name: string,
  text: string,
  options: { project?: string; args?: string[] } = {},
) {
  const id = await engine.container({ project: 'demo', ...options, service: name }, 'sh', '-c', text)
  t.after(() => engine.docker('rm', '--force', id))
  return id
}

const projectsOf = async (hackd: Hackd) => (await hackd.call('GET', '/v1/projects')).body as ProjectList
const psOf = async (hackd: Hackd, name = 'demo') =>
  (await hackd.call('GET', `/v1/ps?compose_project=${name}`)).body as PsReply
const logsPath = (hackd: Hackd, name: string, query = '') =>
  `/control-plane/projects/${hackd.projectId}/services/${name}/logs${query}`
const logStream = (hackd: Hackd, name: string, query = '') =>
  new JobStream(hackd.url.replace('http', 'ws') + logsPath(hackd, name, query), hackd.token)
const seen = (hackd: Hackd, count: number) =>
  eventually(`${count} containers are seen`, async () => (await psOf(hackd)).items?.length === count)

test('without an engine: the list is refused as unavailable, foreign projects as not enabled, and the rest works', async t => {
  const hackd = await startHackd(t)
  assert.deepEqual(await refusal(hackd, '/v1/ps'), [400, 'missing_compose_project'])
  assert.deepEqual(await refusal(hackd, '/v1/ps?compose_project='), [400, 'missing_compose_project'])
  assert.deepEqual(await refusal(hackd, '/v1/ps?compose_project=other'), [403, 'project_disabled'])
  assert.deepEqual(await refusal(hackd, '/v1/ps?compose_project=demo'), [503, 'runtime_unavailable'])
  assert.deepEqual(await refusal(hackd, '/v1/ps?compose_project=demo--next'), [503, 'runtime_unavailable'])
  assert.deepEqual(await refusal(hackd, logsPath(hackd, 'web')), [503, 'runtime_unavailable'])
  const { projects, cache_age_ms } = await projectsOf(hackd)
  assert.deepEqual([projects[0]?.runtime, projects[0]?.status, cache_age_ms], [null, 'stopped', null])
  const metrics: Metrics = (await hackd.call('GET', '/v1/metrics')).body
  assert.equal(metrics.cache_updated_at, null)
  assert.ok(metrics.refresh_failures >= 1)
})

engineTest('what runs is served, to those who may see it', async t => {
  const hackd = await start(t)
  await service(t, 'web', 'exec sleep 3600')
  await service(t, 'web', 'exec sleep 3600', { project: 'demo--next' })
  await service(t, 'web', 'exec sleep 3600', { project: 'other' })
  await seen(hackd, 1)
  const { items, cache_age_ms, ...rest } = (
    await hackd.call('GET', '/v1/ps?compose_project=demo&project=Demo&branch=main')
  ).body as PsReply
  assert.deepEqual(rest, { project: 'Demo', branch: 'main', composeProject: 'demo' })
  assert.match(items[0]?.Status ?? '', /^Up /)
  assert.ok(cache_age_ms >= 0)
  assert.equal((await psOf(hackd, 'demo--next')).items.length, 1)
  assert.deepEqual(await refusal(hackd, '/v1/ps?compose_project=other'), [403, 'project_disabled'])

  const [project] = (await projectsOf(hackd)).projects
  assert.equal(project?.status, 'running')
  assert.equal(project?.runtime?.services[0]?.containers[0]?.state, 'running')
  assert.deepEqual(
    project?.branch_runtime.map(({ branch }) => branch),
    ['next'],
  )

  const { token } = await createToken(hackd.home, { scope: 'read', projects: ['0123456789ab'] })
  const authorization = `Bearer ${token}`
  await eventually('the token is known', async () => (await refusal(hackd, '/v1/status', { authorization }))[0] === 200)
  assert.deepEqual(await refusal(hackd, '/v1/ps?compose_project=demo', { authorization }), [403, 'project_disabled'])

  const metrics: Metrics = (await hackd.call('GET', '/v1/metrics')).body
  assert.ok(metrics.events_seen >= 1 && metrics.refresh_count >= 2 && metrics.last_event_at !== null)
  assert.match((await hackd.call('GET', '/metrics')).body, /^hackd_runtime_events_total [1-9]/m)
})

engineTest('a hung engine slows nothing down, and is told', async t => {
  const socket = join(temporaryFolder(t), 'proxy.sock')
  const proxy = new EngineProxy(engine.socket)
  await proxy.listen(socket)
  t.after(() => proxy.close())
  const hackd = await start(t, socket)
  await service(t, 'web', 'exec sleep 3600')
  await seen(hackd, 1)
  proxy.hang()
  await service(t, 'late', 'exec sleep 3600')
  await eventually(
    'nothing is claimed any more',
    async () => {
      const began = performance.now()
      const [project] = (await projectsOf(hackd)).projects
      assert.ok(performance.now() - began < 5000, 'an answer from memory waits for nobody')
      return project?.runtime === null && project.status === 'missing'
    },
    60_000,
  )
  const { items, cache_age_ms } = await psOf(hackd)
  assert.equal(items.length, 1)
  assert.ok(cache_age_ms >= 5000)
  assert.deepEqual(await refusal(hackd, logsPath(hackd, 'web')), [503, 'runtime_unavailable'])
  proxy.resume()
  await eventually('both are seen', async () => (await psOf(hackd)).items.length === 2, 60_000)
})

engineTest('a Compose project that runs from a folder .hack is registered, and not enabled', async t => {
  const hackd = await start(t)
  const repository = mkdtempSync(join(tmpdir(), 'hackd-found-'))
  const folder = join(repository, '.hack')
  mkdirSync(folder)
  writeFileSync(join(folder, 'hack.config.json'), JSON.stringify({ name: 'found' }))
  t.after(() => rmSync(repository, { recursive: true }))
  const label = `--label=com.docker.compose.project.working_dir=${folder}`
  await service(t, 'web', 'exec sleep 3600', { project: 'found', args: [label] })
  await eventually('it is registered', async () =>
    (await readProjects(hackd.home)).some(({ name }) => name === 'found'),
  )
  const found = (await readProjects(hackd.home)).find(({ name }) => name === 'found')
  assert.deepEqual([found?.projectDir, found?.enabledAt], [folder, undefined])
  assert.deepEqual(await refusal(hackd, '/v1/ps?compose_project=found'), [403, 'project_disabled'])
})

engineTest("a service's log is streamed in the frames of a job, and ends with its container", async t => {
  const hackd = await start(t)
  await service(t, 'web', 'echo eins; echo zwölf; while [ ! -e /end ]; do sleep 0.05; done; printf drei')
  await seen(hackd, 1)
  const stream = await logStream(hackd, 'web').hello()
  await eventually('the first lines', () => stream.text === 'eins\nzwölf\n')
  assert.deepEqual(stream.frames[0], { type: 'ready', logsOffset: 0, eventsSeq: 0 })
  assert.equal(stream.offset, 12)
  await stream.hello()
  await eventually('another hello begins again', () => stream.text === 'eins\nzwölf\neins\nzwölf\n')
  assert.equal(stream.offset, 12)
  const last = await logStream(hackd, 'web', '?tail=1').hello()
  await eventually('the last line', () => last.text === 'zwölf\n')
  await stream.frame('heartbeat')
  await engine.docker(
    'exec',
    (await engine.docker('ps', '-q', '--filter', 'label=com.docker.compose.service=web')).trim(),
    'touch',
    '/end',
  )
  assert.deepEqual(await stream.closed, { code: 1000, reason: 'log_ended' })
  assert.deepEqual(await last.closed, { code: 1000, reason: 'log_ended' })
  assert.equal(last.text, 'zwölf\ndrei')
  assert.equal(last.offset, 11)
})

engineTest('the HTTP twin gives the same bytes, followed or not, and several containers line by line', async t => {
  const hackd = await start(t)
  for (const name of ['a', 'b'])
    await service(t, 'pair', `for i in $(seq 200); do printf ${name}; printf "$i\\n"; done; sleep 0.5; printf end`)
  await seen(hackd, 2)
  const followed = await hackd.call('GET', logsPath(hackd, 'pair', '?follow=true'))
  assert.equal(followed.status, 200)
  const lines = (text: string) => text.replaceAll('end', '').trim().split('\n')
  assert.equal(lines(followed.body).length, 400)
  assert.ok(lines(followed.body).every(line => /^[ab]\d+$/.test(line)))
  const whole = await hackd.call('GET', logsPath(hackd, 'pair'))
  assert.equal(whole.headers.get('content-type'), 'application/octet-stream')
  assert.deepEqual(lines(whole.body).sort(), lines(followed.body).sort())
  const tail = await hackd.call('GET', logsPath(hackd, 'pair', '?tail=1'))
  assert.equal(tail.body, 'endend')
})

engineTest('what cannot be streamed is refused before the upgrade', async t => {
  const hackd = await start(t)
  await service(t, 'web', 'exec sleep 3600')
  await seen(hackd, 1)
  assert.deepEqual(await refusal(hackd, logsPath(hackd, 'nobody')), [404, 'not_found'])
  assert.deepEqual(await refusal(hackd, logsPath(hackd, 'web', '?branch=none')), [404, 'not_found'])
  assert.deepEqual(await refusal(hackd, logsPath(hackd, 'web', '?tail=-1')), [400, 'invalid_request'])
  await assert.rejects(logStream(hackd, 'nobody').closed, /404/)
  const { token } = await createToken(hackd.home, { scope: 'read' })
  await eventually('a read token is enough', async () => {
    const [status] = await refusal(hackd, logsPath(hackd, 'web'), { authorization: `Bearer ${token}` })
    return status === 200
  })
})

engineTest('what runs from below the home is shown when asked for', async t => {
  const hackd = await start(t)
  const label = `--label=com.docker.compose.project.working_dir=${join(hackd.home.root, 'proxy')}`
  await service(t, 'caddy', 'sleep 3600', { project: 'proxy', args: [label] })
  const global = async () => (await hackd.call('GET', '/v1/projects?include_global=true')).body as ProjectList
  await eventually('it is shown as running', async () => {
    const [, proxy] = (await global()).projects
    return proxy?.runtime?.services[0]?.containers[0]?.state === 'running'
  })
  const { project_id, name, kind, status } = (await global()).projects[1] ?? {}
  assert.deepEqual([project_id, name, kind, status], [null, 'proxy', 'unregistered', 'unregistered'])
  assert.equal((await projectsOf(hackd)).projects.length, 1)
})
