import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { GatewayError } from '../../src/errors.js'
import type { FeedItem } from '../../src/jobs/job-feed.js'
import { statProcess } from '../../src/processes/identity.js'
import { create, ended, logOf, projectId, startSupervisor, until } from './supervisor-setup.js'

const coded = (code: string) => (error: unknown) => error instanceof GatewayError && error.code === code

test('runs argv without a shell and records its output and exit status', async t => {
  const { supervisor, repo } = await startSupervisor(t)
  const job = await create(supervisor, { command: ['printf', '%s|', 'a b', '$HOME', '*'], label: 'greeting' })
  assert.equal(job.status, 'queued')
  const meta = await ended(supervisor, job.jobId)
  assert.equal(meta.status, 'completed')
  assert.equal(meta.exitCode, 0)
  assert.equal(meta.label, 'greeting')
  assert.equal(meta.cwd, repo)
  assert.equal((await logOf(supervisor, job.jobId)).toString(), 'a b|$HOME|*|')
  assert.equal(meta.logsBytes, 12)
  const types = (await supervisor.events(projectId, job.jobId, 0)).map(event => `${event.seq} ${event.type}`)
  assert.deepEqual(types, ['1 job.created', '2 job.starting', '3 job.started', '4 job.completed'])
})

test('stdout and stderr share one log, in the order written, and /dev/stderr can be reopened', async t => {
  const { supervisor } = await startSupervisor(t)
  const script = 'echo one; echo two >&2; echo three >/dev/stderr; echo four'
  const job = await create(supervisor, { command: ['sh', '-c', script] })
  await ended(supervisor, job.jobId)
  assert.equal((await logOf(supervisor, job.jobId)).toString(), 'one\ntwo\nthree\nfour\n')
})

test('a job gets its own session, default signals, three descriptors and a clean environment', async t => {
  const { supervisor } = await startSupervisor(t)
  const script = 'ps -o pid=,pgid=,sid= -p $$; ls /proc/$$/fd; grep SigIgn /proc/$$/status; env'
  const job = await create(supervisor, { command: ['sh', '-c', script], env: { GREETING: 'hello' } })
  const meta = await ended(supervisor, job.jobId)
  const log = (await logOf(supervisor, job.jobId)).toString()
  const [pid, pgid, sid] = log.trim().split(/\s+/)
  assert.deepEqual([pid, pgid, sid], Array(3).fill(String(meta.pid)))
  // Descriptors that whoever started this test leaked into it are not hackd's.
  const own = readdirSync('/proc/self/fd').map(Number)
  const fds = (/^0\n1\n2\n(\d+\n)*/m.exec(log)?.[0] ?? '').trim().split('\n').map(Number)
  assert.deepEqual(
    fds.filter(fd => fd < 200 || !own.includes(fd)),
    [0, 1, 2],
  )
  assert.match(log, /^SigIgn:\s+0{16}$/m)
  assert.match(log, /^GREETING=hello$/m)
  assert.match(log, new RegExp(`^HACK_JOB_ID=${job.jobId}$`, 'm'))
  assert.doesNotMatch(log, /^HACK_HOME=/m)
})

for (const [name, command, expected] of [
  ['an exit code', ['sh', '-c', 'exit 3'], { exitCode: 3, reason: 'exit_code' }],
  ['a signal', ['sh', '-c', 'kill -KILL $$'], { exitCode: 137, signal: 'SIGKILL', reason: 'signal' }],
  ['a program that is not there', ['no-such-program-here'], { reason: 'spawn_error' }],
] as const)
  test(`fails with ${name}`, async t => {
    const { supervisor } = await startSupervisor(t)
    const job = await create(supervisor, { command: [...command] })
    const { status, exitCode, signal, reason } = await ended(supervisor, job.jobId)
    const facts = Object.fromEntries(
      Object.entries({ exitCode, signal, reason }).filter(([, value]) => value !== undefined),
    )
    assert.deepEqual({ status, ...facts }, { status: 'failed', ...expected })
  })

test('a shell builtin is no program, and a program named like an option is one', async t => {
  const { supervisor, repo } = await startSupervisor(t)
  writeFileSync(join(repo, '-odd'), '#!/bin/sh\necho odd "$@"\n', { mode: 0o755 })
  const builtin = await create(supervisor, { command: ['eval', 'echo no'] })
  assert.equal((await ended(supervisor, builtin.jobId)).reason, 'spawn_error')
  const odd = await create(supervisor, { command: ['-odd', '-x'], env: { PATH: `${repo}:/bin` } })
  assert.equal((await ended(supervisor, odd.jobId)).status, 'completed')
  assert.equal((await logOf(supervisor, odd.jobId)).toString(), 'odd -x\n')
})

test('the environment of a job chooses none of the programs that supervise it', async t => {
  const { supervisor } = await startSupervisor(t)
  const job = await create(supervisor, { command: ['/bin/echo', 'fine'], env: { PATH: '/nonexistent' } })
  assert.equal((await ended(supervisor, job.jobId)).status, 'completed')
  assert.equal((await logOf(supervisor, job.jobId)).toString(), 'fine\n')
})

test('runs as many jobs of a project as there are slots, and the rest in order', async t => {
  const { supervisor } = await startSupervisor(t, config => {
    config.supervisor.maxConcurrentJobs = 2
  })
  const jobs = []
  for (let i = 0; i < 6; i++) jobs.push(await create(supervisor, { command: ['sleep', '0.2'] }))
  await until('two running', () => supervisor.counts().running === 2)
  assert.equal(supervisor.counts().queued, 4)
  const metas = await Promise.all(jobs.map(job => ended(supervisor, job.jobId)))
  const starts = metas.map(meta => meta.startedAt ?? '')
  assert.deepEqual(starts, [...starts].sort())
  assert.deepEqual(
    supervisor.list(projectId, {}).map(job => job.jobId),
    jobs.map(job => job.jobId).reverse(),
  )
})

test('queued jobs wait while writes are off, and a full queue refuses', async t => {
  const { supervisor, config, changed } = await startSupervisor(t, config => {
    config.supervisor.maxQueuedJobs = 2
  })
  config.gateway.allowWrites = false
  const first = await create(supervisor, { command: ['true'] })
  await create(supervisor, { command: ['true'] })
  await assert.rejects(create(supervisor, { command: ['true'] }), coded('queue_full'))
  assert.equal(supervisor.get(projectId, first.jobId).status, 'queued')
  await supervisor.cancel(projectId, first.jobId)
  assert.equal(supervisor.get(projectId, first.jobId).status, 'cancelled')
  config.gateway.allowWrites = true
  changed()
  await until('the other', () => supervisor.counts().completed === 1)
})

test('a job past its deadline is ended with everything it started', async t => {
  const { supervisor } = await startSupervisor(t)
  const job = await create(supervisor, { command: ['sh', '-c', 'sleep 100 & sleep 100'], timeoutMs: 200 })
  const meta = await ended(supervisor, job.jobId)
  assert.equal(meta.status, 'failed')
  assert.equal(meta.reason, 'timeout')
})

test('a log that reaches its limit ends the job, and holds just the limit', async t => {
  const { supervisor } = await startSupervisor(t, config => {
    config.supervisor.logsMaxBytes = 64 * 1024
  })
  const jobs = [['yes'], ['sh', '-c', 'trap "" PIPE; yes; sleep 100']]
  for (const command of jobs) {
    const job = await create(supervisor, { command })
    const meta = await ended(supervisor, job.jobId)
    assert.equal(meta.reason, 'log_limit')
    assert.equal(meta.logsBytes, 64 * 1024)
  }
})

test('what a job left behind neither holds up its end nor moves it', async t => {
  const { supervisor } = await startSupervisor(t)
  const job = await create(supervisor, { command: ['sh', '-c', '(sleep 0.5; echo late) & echo now'] })
  const meta = await ended(supervisor, job.jobId)
  assert.equal(meta.logsBytes, 4)
  await until('the late line', () =>
    readFileSync(join(supervisorLog(meta.jobId), 'combined.log'), 'utf8').includes('late'),
  )
  assert.equal((await logOf(supervisor, job.jobId)).toString(), 'now\n')
  function supervisorLog(jobId: string) {
    return join(meta.cwd ?? '', '..', 'jobs', projectId, jobId)
  }
})

test('input reaches a job that has one, until its end is sent', async t => {
  const { supervisor } = await startSupervisor(t)
  const job = await create(supervisor, { command: ['cat'], stdin: true })
  await until('running', () => supervisor.get(projectId, job.jobId).status === 'running')
  await supervisor.input(projectId, job.jobId, { data: 'hello\n' })
  await supervisor.input(projectId, job.jobId, { data: 'world\n', eof: true })
  await assert.rejects(supervisor.input(projectId, job.jobId, { data: 'x' }))
  assert.equal((await ended(supervisor, job.jobId)).status, 'completed')
  assert.equal((await logOf(supervisor, job.jobId)).toString(), 'hello\nworld\n')
  await assert.rejects(supervisor.input(projectId, job.jobId, { data: 'x' }), coded('job_not_running'))
  const deaf = await create(supervisor, { command: ['sleep', '5'] })
  await until('running', () => supervisor.get(projectId, deaf.jobId).status === 'running')
  await assert.rejects(supervisor.input(projectId, deaf.jobId, { data: 'x' }), coded('stdin_closed'))
  await supervisor.cancel(projectId, deaf.jobId)
})

test('input may come before the start is on record', async t => {
  const { supervisor } = await startSupervisor(t)
  for (let round = 0; round < 10; round++) {
    const job = await create(supervisor, { command: ['cat'], stdin: true })
    await supervisor.input(projectId, job.jobId, { data: 'early\n', eof: true })
    assert.equal((await ended(supervisor, job.jobId)).status, 'completed')
    assert.equal((await logOf(supervisor, job.jobId)).toString(), 'early\n')
  }
})

test('input that is not read waits up to 1 MiB, and is then refused', async t => {
  const { supervisor } = await startSupervisor(t)
  const job = await create(supervisor, { command: ['sleep', '30'], stdin: true })
  await until('running', () => supervisor.get(projectId, job.jobId).status === 'running')
  const data = 'x'.repeat(512 * 1024)
  await supervisor.input(projectId, job.jobId, { data })
  await supervisor.input(projectId, job.jobId, { data })
  await assert.rejects(supervisor.input(projectId, job.jobId, { data }), coded('queue_full'))
  await supervisor.cancel(projectId, job.jobId)
})

test('a job reports events of its own, asks for input, and may not speak for hackd', async t => {
  const { supervisor } = await startSupervisor(t)
  const script = `
    echo '{"type":"step","payload":{"n":1}}' >>"$HACK_JOB_EVENTS"
    echo 'not json' >>"$HACK_JOB_EVENTS"
    echo '{"type":"job.completed"}' >>"$HACK_JOB_EVENTS"
    echo '{"type":"awaiting_input","payload":{"prompt":"name?"}}' >>"$HACK_JOB_EVENTS"
    read name; echo "hello $name"`
  const job = await create(supervisor, { command: ['bash', '-c', script], stdin: true })
  await until('the question', () => supervisor.get(projectId, job.jobId).status === 'awaiting_input')
  await supervisor.input(projectId, job.jobId, { data: 'you\n' })
  assert.equal((await ended(supervisor, job.jobId)).status, 'completed')
  const types = (await supervisor.events(projectId, job.jobId, 3)).map(event => event.type)
  assert.deepEqual(types, ['step', 'awaiting_input', 'job.awaiting_input', 'job.input', 'job.completed'])
  assert.equal((await logOf(supervisor, job.jobId)).toString(), 'hello you\n')
})

test('the same Idempotency-Key makes one job, also at the same moment and after a restart', async t => {
  const { supervisor, open } = await startSupervisor(t)
  const body = { command: ['true'], env: { A: '1', B: '2' } }
  const both = await Promise.all([
    create(supervisor, body, 'k'),
    create(supervisor, { env: { B: '2', A: '1' }, command: ['true'] }, 'k'),
  ])
  assert.equal(both[0].jobId, both[1].jobId)
  await assert.rejects(create(supervisor, { command: ['false'] }, 'k'), coded('idempotency_conflict'))
  await ended(supervisor, both[0].jobId)
  await supervisor.close()
  const next = await open()
  assert.equal((await create(next, body, 'k')).jobId, both[0].jobId)
})

test('keeps only so many finished jobs, oldest first', async t => {
  const { supervisor } = await startSupervisor(t, config => {
    config.supervisor.jobsMaxCount = 2
  })
  const ids = []
  for (let i = 0; i < 4; i++) {
    const { jobId } = await create(supervisor, { command: ['true'] })
    await ended(supervisor, jobId)
    ids.unshift(jobId)
  }
  await until('retention', () => supervisor.list(projectId, {}).length === 2)
  assert.deepEqual(
    supervisor.list(projectId, {}).map(job => job.jobId),
    ids.slice(0, 2),
  )
})

test('a follower gets every byte, then the terminal event, and resumes at any offset', async t => {
  const { supervisor } = await startSupervisor(t)
  const job = await create(supervisor, {
    command: ['bash', '-c', 'for i in {1..2000}; do echo "line $i äöü€😀"; done'],
  })
  const follow = async (logsFrom: number, eventsFrom: number) => {
    const items: FeedItem[] = []
    for await (const item of supervisor.follow(
      projectId,
      job.jobId,
      { logsFrom, eventsFrom },
      new AbortController().signal,
    ))
      items.push(item)
    return items
  }
  const bytes = (items: FeedItem[]) => Buffer.concat(items.flatMap(item => (item.kind === 'log' ? [item.bytes] : [])))
  const items = await follow(0, 0)
  const whole = await logOf(supervisor, job.jobId)
  assert.deepEqual(bytes(items), whole)
  assert.equal(whole.toString().split('\n').length, 2001)
  const last = items.at(-1)
  assert.equal(last?.kind === 'event' && last.event.type, 'job.completed')
  for (const chunk of items) if (chunk.kind === 'log') assert.ok(!chunk.bytes.toString().includes('\ufffd'))
  const later = await follow(12345, 3)
  assert.deepEqual(bytes(later), whole.subarray(12345))
  assert.deepEqual(
    later.flatMap(item => (item.kind === 'event' ? [item.event.seq] : [])),
    [4],
  )
})

test('a follower that stops is let go, and nothing is left of it', async t => {
  const { supervisor } = await startSupervisor(t)
  const job = await create(supervisor, { command: ['sleep', '30'] })
  const abort = new AbortController()
  const feed = supervisor.follow(projectId, job.jobId, { logsFrom: 0, eventsFrom: 0 }, abort.signal)
  const done = (async () => {
    for await (const _ of feed);
  })()
  await until('running', () => supervisor.get(projectId, job.jobId).status === 'running')
  abort.abort()
  await done
  const { pid = 0 } = supervisor.get(projectId, job.jobId)
  await supervisor.cancel(projectId, job.jobId)
  assert.equal(statProcess(pid), undefined)
})
