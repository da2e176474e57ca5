import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '../eventually.js'
import { type Hackd, startHackd } from '../hackd.js'
import { fixture } from './supervisor-setup.js'

/** How often hackd is killed in the middle of a job; CRASH_ROUNDS=100 is the long form. */
const rounds = Number(process.env.CRASH_ROUNDS ?? 6)
/** So many that the job is still writing at the last kill. */
const lines = 700 * rounds

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex')

function expected(): string {
  const all = Array.from(
    { length: lines },
    (_, at) => `line ${at + 1} of ${lines}: some text that makes it a little longer, äöü`,
  )
  return `${all.join('\n')}\n`
}

/** A client that keeps what it got and where it was, and comes back after every cut. */
class StubbornClient {
  text = ''
  offset = 0
  events: number[] = []
  done = false
  readonly #hackd: Hackd
  readonly #jobId: string

  constructor(hackd: Hackd, jobId: string) {
    this.#hackd = hackd
    this.#jobId = jobId
  }

  /** One connection, until it is cut or the job is over. */
  async connect(): Promise<void> {
    const stream = this.#hackd.stream(this.#jobId)
    stream.socket.on('message', data => {
      const frame = JSON.parse(String(data))
      if (frame.type === 'event') this.events.push(frame.seq)
      if (frame.type !== 'log') return
      this.text += frame.data
      this.offset = frame.offset
    })
    try {
      await stream.hello(this.offset, this.events.at(-1) ?? 0)
      this.done = (await stream.closed).reason === 'job_finished'
    } catch {
      // Cut, or not there yet: the next connection goes on.
    }
  }
}

test(`a job outlives kill -9 of hackd ${rounds} times: its end is true, and no byte is lost or doubled`, async t => {
  const hackd = await startHackd(t)
  const job = await hackd.createJob({ command: [fixture('numbered-lines.sh'), String(lines)] })
  // Killed before that, a job may be lost: it is never spawned twice.
  await eventually('it to run', async () => (await hackd.job(job.jobId)).status === 'running')
  const client = new StubbornClient(hackd, job.jobId)
  for (let round = 0; round < rounds; round++) {
    const connection = client.connect()
    await delay(Math.random() * 100)
    await hackd.kill('SIGKILL')
    await connection
    await hackd.start()
  }
  while (!client.done) await client.connect()
  const meta = await hackd.ended(job.jobId)
  assert.deepEqual([meta.status, meta.reason, meta.exitCode], ['failed', 'exit_code', 7])
  assert.equal(meta.logsBytes, Buffer.byteLength(expected()))
  const log = readFileSync(join(hackd.home.jobs, hackd.projectId, job.jobId, 'combined.log'))
  assert.equal(sha256(log), sha256(expected()))
  assert.equal(sha256(client.text), sha256(expected()))
  assert.equal(client.offset, meta.logsBytes)
  assert.deepEqual(client.events, [1, 2, 3, 4])
})

test('jobs that were created, queued and cancelled around a crash all end truthfully', async t => {
  const hackd = await startHackd(t, { config: { supervisor: { maxConcurrentJobs: 2, cancelGraceMs: 500 } } })
  for (let round = 0; round < Math.max(2, rounds / 3); round++) {
    const jobs = await Promise.all(
      ['exit 0', 'exit 4', 'sleep 0.3; exit 0', 'sleep 0.3; exit 4', 'trap "" TERM; sleep 300'].map(async script => ({
        script,
        ...(await hackd.createJob({ command: ['sh', '-c', script] })),
      })),
    )
    const last = jobs.at(-1)?.jobId ?? ''
    const moment = delay(Math.random() * 300)
    await eventually('the last to run', async () => (await hackd.job(last)).status === 'running')
    const cancel = hackd.call('POST', hackd.jobs(`/${last}/cancel`)).catch(() => undefined)
    await moment
    await hackd.kill('SIGKILL')
    await cancel
    await hackd.start()
    if ((await hackd.job(last)).status === 'running') await hackd.call('POST', hackd.jobs(`/${last}/cancel`))
    for (const { jobId, script } of jobs) {
      const meta = await hackd.ended(jobId)
      const { events } = (await hackd.call('GET', hackd.jobs(`/${jobId}/events`))).body
      const types = events.map((event: { type: string }) => event.type)
      // Killed between the record of its start and the start itself: it is never spawned again.
      if (meta.reason === 'lost' && !types.includes('job.started')) continue
      const wanted = /exit (\d)$/.exec(script)?.[1]
      if (wanted === undefined) assert.equal(meta.status, 'cancelled')
      else assert.deepEqual([meta.status, meta.exitCode], [wanted === '0' ? 'completed' : 'failed', Number(wanted)])
      assert.deepEqual(
        events.map((event: { seq: number }) => event.seq),
        events.map((_: unknown, at: number) => at + 1),
      )
    }
  }
})

test('a job found starting is never spawned again, and a record whose pid was recycled is lost', async t => {
  const hackd = await startHackd(t)
  const marker = join(hackd.repo, 'ran')
  const job = await hackd.createJob({ command: ['sh', '-c', `echo x >>'${marker}'; sleep 300`] })
  await eventually('it to run', async () => (await hackd.job(job.jobId)).status === 'running')
  await hackd.kill('SIGKILL')
  const folder = join(hackd.home.jobs, hackd.projectId, job.jobId)
  const meta = JSON.parse(readFileSync(join(folder, 'meta.json'), 'utf8'))
  const events = readFileSync(join(folder, 'events.jsonl'), 'utf8').split('\n').slice(0, 2).join('\n')
  writeFileSync(join(folder, 'events.jsonl'), `${events}\n`)
  writeFileSync(join(folder, 'meta.json'), JSON.stringify({ ...meta, status: 'starting', lastEventSeq: 2 }))
  await hackd.start()
  await eventually('adoption', async () => (await hackd.job(job.jobId)).status === 'running')
  assert.equal(readFileSync(marker, 'utf8'), 'x\n')
  await hackd.call('POST', hackd.jobs(`/${job.jobId}/cancel`))
  assert.equal((await hackd.job(job.jobId)).status, 'cancelled')

  const victim = await hackd.createJob({ command: ['sleep', '300'] })
  await eventually('it to run', async () => (await hackd.job(victim.jobId)).status === 'running')
  await hackd.kill('SIGKILL')
  // The same record, but of processes that have long been others: pids of living ones, other start times.
  const journal = join(hackd.home.jobs, hackd.projectId, victim.jobId, 'journal')
  const truth = readFileSync(journal, 'utf8')
  const fields = (line: string) => line.split(' ')
  const forged = truth
    .split('\n')
    .map(line => (/^(wrapper|job|writer) /.test(line) ? fields(line).with(22, '1').join(' ') : line))
    .join('\n')
  writeFileSync(journal, forged)
  await hackd.start()
  const lost = await hackd.ended(victim.jobId)
  assert.deepEqual([lost.status, lost.reason], ['failed', 'lost'])
  const pid = Number(/^job (\d+)/m.exec(truth)?.[1])
  assert.doesNotThrow(() => process.kill(pid, 0), 'the process that has the recycled pid lives on')
  process.kill(pid, 'SIGKILL')
})

test('a deadline that passed while hackd was away ends the job, unless it had ended by itself', async t => {
  const hackd = await startHackd(t)
  const slow = await hackd.createJob({ command: ['sleep', '300'], timeoutMs: 1500 })
  const quick = await hackd.createJob({ command: ['sh', '-c', 'sleep 0.7; exit 0'], timeoutMs: 1500 })
  await eventually('both to run', async () => {
    const jobs = await Promise.all([hackd.job(slow.jobId), hackd.job(quick.jobId)])
    return jobs.every(job => job.status === 'running')
  })
  await hackd.kill('SIGKILL')
  await delay(2000)
  await hackd.start()
  const [late, early] = await Promise.all([hackd.ended(slow.jobId), hackd.ended(quick.jobId)])
  assert.deepEqual([late.status, late.reason], ['failed', 'timeout'])
  assert.deepEqual([early.status, early.exitCode], ['completed', 0])
})

test('own events are recorded once each across a crash, and input goes on', async t => {
  const hackd = await startHackd(t)
  const script = `for i in 1 2 3 4 5 6; do echo "{\\"type\\":\\"step\\",\\"payload\\":{\\"n\\":$i}}" >>"$HACK_JOB_EVENTS"; sleep 0.15; done; read a; echo "got $a"`
  const job = await hackd.createJob({ command: ['bash', '-c', script], stdin: true })
  await eventually('a step', async () =>
    (await hackd.call('GET', hackd.jobs(`/${job.jobId}/events`))).body.events.some(
      (e: { type: string }) => e.type === 'step',
    ),
  )
  await hackd.kill('SIGKILL')
  await delay(300)
  await hackd.start()
  assert.equal((await hackd.call('POST', hackd.jobs(`/${job.jobId}/input`), { data: 'it\n' })).status, 200)
  assert.equal((await hackd.ended(job.jobId)).status, 'completed')
  const { events } = (await hackd.call('GET', hackd.jobs(`/${job.jobId}/events`))).body
  const steps = events.flatMap((e: { type: string; payload?: { n?: number } }) =>
    e.type === 'step' ? [e.payload?.n] : [],
  )
  assert.deepEqual(steps, [1, 2, 3, 4, 5, 6])
  assert.match((await hackd.call('GET', hackd.jobs(`/${job.jobId}/logs`))).body, /got it/)
})
