import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { JobMeta } from '../../schemas/jobs.js'
import { buildTestApp } from '../build-app.js'
import { cannotMount, onSmallDisk } from '../small-disk.js'
import { create, ended, logOf, projectId, startSupervisor, until } from './supervisor-setup.js'

const whenRoot = { skip: cannotMount, timeout: 60_000 }

test('a job that finds no room is refused, leaves nothing behind, and can be made later', whenRoot, async t => {
  const { supervisor, home } = await startSupervisor(t)
  await onSmallDisk(join(home, 'jobs'), 256, async disk => {
    disk.fill()
    for (let i = 0; i < 3; i++) await assert.rejects(create(supervisor, { command: ['true'] }), { code: 'ENOSPC' })
    assert.deepEqual(supervisor.list(projectId, {}), [])
    assert.deepEqual(readdirSync(join(home, 'jobs', projectId)), [])
    disk.free()
    const job = await create(supervisor, { command: ['echo', 'room'] })
    assert.equal((await ended(supervisor, job.jobId)).status, 'completed')
  })
})

test('over HTTP that is a 507, and hackd goes on', whenRoot, async t => {
  const { app, services, bearer } = await buildTestApp(t, {
    projects: [projectId],
    config: { gateway: { allowWrites: true } },
  })
  const url = `/control-plane/projects/${projectId}/jobs`
  const post = () => app.inject({ method: 'POST', url, headers: bearer, payload: { command: ['true'] } })
  await onSmallDisk(services.home.jobs, 256, async disk => {
    disk.fill()
    const refused = await post()
    assert.equal(refused.statusCode, 507)
    assert.equal(refused.json().error, 'storage_full')
    assert.match(refused.json().message, /disk is full/)
    assert.equal((await app.inject({ url, headers: bearer })).statusCode, 200)
    disk.free()
    const made = await post()
    assert.equal(made.statusCode, 201)
    await ended(services.supervisor, made.json().job.jobId)
  })
})

test('a job whose log fills the disk says so, at once in memory and on disk when there is room', whenRoot, async t => {
  const { supervisor, home, open, problems } = await startSupervisor(t)
  await onSmallDisk(join(home, 'jobs'), 512, async disk => {
    disk.fill(128 * 1024)
    const job = await create(supervisor, { command: ['sh', '-c', 'yes & yes'] })
    const meta = await ended(supervisor, job.jobId)
    assert.deepEqual([meta.status, meta.reason], ['failed', 'storage_error'])
    disk.fill()
    const events = await supervisor.events(projectId, job.jobId, 0)
    assert.equal(events.at(-1)?.type, 'job.failed')
    assert.deepEqual(
      events.map(event => event.seq),
      events.map((_, index) => index + 1),
    )
    assert.ok(problems.length <= 3, problems.join('\n'))
    assert.equal((await logOf(supervisor, job.jobId)).length, meta.logsBytes)
    disk.free()
    const onDisk = (): JobMeta =>
      JSON.parse(readFileSync(join(home, 'jobs', projectId, job.jobId, 'meta.json'), 'utf8'))
    await until('the record', () => onDisk().status === 'failed')
    assert.equal(onDisk().reason, 'storage_error')
    const next = await create(supervisor, { command: ['echo', 'room'] })
    assert.equal((await ended(supervisor, next.jobId)).status, 'completed')
    await supervisor.close()
    const again = await open()
    assert.equal(again.get(projectId, job.jobId).reason, 'storage_error')
    assert.deepEqual(await again.events(projectId, job.jobId, 0), events)
  })
})

test('an end that cannot be put on record does not happen; a deadline waits for room', whenRoot, async t => {
  const { supervisor, home } = await startSupervisor(t)
  await onSmallDisk(join(home, 'jobs'), 512, async disk => {
    const job = await create(supervisor, { command: ['sleep', '60'] })
    const timed = await create(supervisor, { command: ['sleep', '60'], timeoutMs: 1000 })
    await until('both', () => supervisor.counts().running === 2)
    disk.fill()
    await assert.rejects(supervisor.cancel(projectId, job.jobId), { code: 'ENOSPC' })
    await assert.rejects(supervisor.cancel(projectId, job.jobId), { code: 'ENOSPC' })
    assert.equal(supervisor.get(projectId, job.jobId).status, 'running')
    await new Promise(resolve => setTimeout(resolve, 1500))
    assert.equal(supervisor.get(projectId, timed.jobId).status, 'running')
    disk.free()
    await supervisor.cancel(projectId, job.jobId)
    assert.equal(supervisor.get(projectId, job.jobId).status, 'cancelled')
    assert.equal((await ended(supervisor, timed.jobId)).reason, 'timeout')
  })
})

test('hackd starts on a full disk, and knows how its jobs ended', whenRoot, async t => {
  const { supervisor, home, open } = await startSupervisor(t)
  await onSmallDisk(join(home, 'jobs'), 512, async disk => {
    const recorded = await create(supervisor, { command: ['true'] })
    await ended(supervisor, recorded.jobId)
    const running = await create(supervisor, { command: ['sh', '-c', 'sleep 1; exit 7'] })
    await until('the job', () => supervisor.get(projectId, running.jobId).status === 'running')
    await supervisor.close()
    const path = join(home, 'jobs', projectId, recorded.jobId, 'meta.json')
    const { finishedAt, exitCode, logsBytes, ...meta } = JSON.parse(readFileSync(path, 'utf8'))
    writeFileSync(path, JSON.stringify({ ...meta, status: 'running', lastEventSeq: 3 }))
    disk.fill()
    const next = await open()
    assert.equal(next.get(projectId, recorded.jobId).status, 'completed')
    assert.equal((await ended(next, running.jobId)).exitCode, 7)
    disk.free()
  })
})
