import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { GatewayError } from '../../src/errors.js'
import type { Supervisor } from '../../src/jobs/supervisor.js'
import { findTree } from '../../src/processes/tree.js'
import { create, ended, projectId, startSupervisor, until } from './supervisor-setup.js'

const terminal = /^job\.(completed|failed|cancelled)$/

/** One end, the last event, in agreement with the status. */
async function assertOneEnd(supervisor: Supervisor, jobId: string): Promise<void> {
  const meta = await ended(supervisor, jobId)
  const events = await supervisor.events(projectId, jobId, 0)
  const ends = events.filter(event => terminal.test(event.type))
  assert.deepEqual(
    ends.map(event => [event.seq, event.type]),
    [[events.length, `job.${meta.status}`]],
  )
  assert.equal(meta.lastEventSeq, events.length)
  assert.equal((await findTree({ mark: `HACK_JOB_ID=${jobId}` })).length, 0)
}

/** What a leak would show in: open files by kind, and watched files. */
function resources(): { files: number; watches: number } {
  const links = readdirSync('/proc/self/fd').map(fd => quietly(() => readlinkSync(`/proc/self/fd/${fd}`)))
  const infos = readdirSync('/proc/self/fdinfo').map(fd =>
    quietly(() => readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')),
  )
  return {
    files: links.filter(link => link.startsWith('/')).length,
    watches: infos.join('').split('inotify wd:').length - 1,
  }
}

function quietly(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}

test('an exit, a cancel and a deadline at the same moment make one end, and leave nothing open', async t => {
  const { supervisor, config } = await startSupervisor(t)
  config.supervisor.maxConcurrentJobs = 8
  await ended(supervisor, (await create(supervisor, { command: ['true'] })).jobId)
  const before = resources()
  const runs = Array.from({ length: 60 }, async (_, n) => {
    const command = ['sh', '-c', 'echo here; sleep 0.0$0', String(n % 10)]
    const { jobId } = await create(supervisor, { command, timeoutMs: 20 + n })
    await until('its turn', () => supervisor.get(projectId, jobId).status !== 'queued')
    await delay(n % 7 === 0 ? 0 : n)
    const cancels = await Promise.allSettled([supervisor.cancel(projectId, jobId), supervisor.cancel(projectId, jobId)])
    const { status } = await ended(supervisor, jobId)
    for (const cancel of cancels)
      if (cancel.status === 'fulfilled') assert.equal(status, 'cancelled')
      else assert.ok(cancel.reason instanceof GatewayError && cancel.reason.code === 'job_not_running', cancel.reason)
    await assertOneEnd(supervisor, jobId)
  })
  await Promise.all(runs)
  await until('all to be let go', () => {
    const now = resources()
    return now.files <= before.files && now.watches <= before.watches
  })
})

test('followers that come and go at any moment leave nothing open', async t => {
  const { supervisor } = await startSupervisor(t)
  const before = resources()
  const job = await create(supervisor, { command: ['sh', '-c', 'for i in $(seq 300); do echo $i; sleep 0.005; done'] })
  const followers = Array.from({ length: 40 }, async (_, n) => {
    await delay(n * 20)
    const abort = new AbortController()
    if (n % 2) setTimeout(() => abort.abort(), n * 10)
    let bytes = 0
    for await (const item of supervisor.follow(projectId, job.jobId, { logsFrom: 0, eventsFrom: 0 }, abort.signal)) {
      if (item.kind === 'log') bytes += item.bytes.length
      if (n % 5 === 4 && bytes > 100) break
    }
    return bytes
  })
  const counts = await Promise.all(followers)
  const { logsBytes } = await ended(supervisor, job.jobId)
  for (const n of [0, 2, 6, 8]) assert.equal(counts[n], logsBytes)
  await until('all to be let go', () => {
    const now = resources()
    return now.files <= before.files && now.watches <= before.watches
  })
})

test('a supervisor that is closed while it starts jobs loses none of them', async t => {
  const { supervisor, open, home } = await startSupervisor(t, config => {
    config.supervisor.maxConcurrentJobs = 3
  })
  let current = supervisor
  const ids: string[] = []
  for (let round = 0; round < 8; round++) {
    const made = await Promise.all(
      Array.from({ length: 3 }, () => create(current, { command: ['sh', '-c', 'echo x; exit 5'] })),
    )
    ids.push(...made.map(job => job.jobId))
    await delay(round * 4)
    await current.close()
    current = await open()
  }
  for (const jobId of ids) {
    await assertOneEnd(current, jobId)
    const meta = current.get(projectId, jobId)
    assert.deepEqual([meta.status, meta.exitCode], ['failed', 5])
    assert.equal(readFileSync(join(home, 'jobs', projectId, jobId, 'combined.log'), 'utf8'), 'x\n')
  }
})
