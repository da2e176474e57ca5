import assert from 'node:assert/strict'
import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { JobEvent, JobMeta } from '../../schemas/jobs.js'
import { Bell } from '../../src/jobs/bell.js'
import type { JobRecord } from '../../src/jobs/job.js'
import { type FeedItem, followJob, logSize, readLog } from '../../src/jobs/job-feed.js'
import { LogFollower } from '../../src/jobs/log-follower.js'
import { temporaryFolder } from '../temporary-folder.js'

const at = '2026-01-01T00:00:00.000Z'
const event = (seq: number, type: string): JobEvent => ({ seq, ts: at, type })

/** A job that runs as long as the test says so. */
class HandJob implements JobRecord {
  readonly bell = new Bell()
  readonly log: LogFollower
  readonly path: string
  gone = false
  meta: JobMeta = { jobId: 'j', status: 'running', runner: 'generic', createdAt: at, updatedAt: at, lastEventSeq: 1 }
  readonly #events = [event(1, 'job.created')]

  constructor(t: TestContext, content: string | Buffer = '') {
    this.path = join(temporaryFolder(t), 'combined.log')
    writeFileSync(this.path, content)
    this.log = new LogFollower(this.path, () => this.bell.ring())
  }

  write(bytes: string | Buffer): void {
    appendFileSync(this.path, bytes)
  }

  end(logsBytes: number): void {
    this.#events.push(event(2, 'job.completed'))
    this.meta = { ...this.meta, status: 'completed', lastEventSeq: 2, logsBytes }
    this.bell.ring()
  }

  async events(): Promise<readonly JobEvent[]> {
    return this.#events
  }
}

const never = new AbortController().signal

async function collect(job: JobRecord, logsFrom = 0, eventsFrom = 0): Promise<FeedItem[]> {
  const items: FeedItem[] = []
  for await (const item of followJob(job, { logsFrom, eventsFrom }, never)) items.push(item)
  return items
}

const bytesOf = (items: FeedItem[]) => Buffer.concat(items.flatMap(item => (item.kind === 'log' ? [item.bytes] : [])))
const textOf = (items: FeedItem[]) => items.map(item => (item.kind === 'log' ? item.bytes.toString() : '')).join('')
const typesOf = (items: FeedItem[]) => items.map(item => (item.kind === 'log' ? 'log' : item.event.type))

test('text that was written byte by byte arrives without a broken sequence', async t => {
  const text = Buffer.from('aé€🙂z\u0080\u{10ffff}')
  const job = new HandJob(t)
  const items = collect(job)
  for (const byte of text) {
    job.write(Buffer.of(byte))
    job.bell.ring()
    await new Promise(resolve => setImmediate(resolve))
  }
  job.end(text.length)
  assert.equal(textOf(await items), text.toString())
  assert.ok(!textOf(await items).includes('\ufffd'))
})

test('cut and resumed at every offset that was given, the bytes are those of the log', async t => {
  const log = Buffer.concat([Buffer.from('aé€🙂z'), Buffer.from('80c3e2f09f98ff', 'hex'), Buffer.from('é\n')])
  const job = new HandJob(t, log)
  job.end(log.length)
  for (let from = 0; from <= log.length; from++)
    assert.deepEqual(bytesOf(await collect(job, from)), log.subarray(from), `from ${from}`)
})

test('chunks hold at most 64 KiB, cut no sequence, and say where they end', async t => {
  for (const shift of [0, 1, 2, 3]) {
    const log = Buffer.from('x'.repeat(shift) + '🙂'.repeat(50_000))
    const job = new HandJob(t, log)
    job.end(log.length)
    let offset = 0
    for (const item of await collect(job)) {
      if (item.kind !== 'log') continue
      assert.ok(item.bytes.length <= 64 * 1024)
      assert.ok(!item.bytes.toString().includes('\ufffd'))
      offset += item.bytes.length
      assert.equal(item.offset, offset)
    }
    assert.equal(offset, log.length)
  }
})

test('a sequence that nobody completed is sent when the job ends, before the terminal event', async t => {
  const job = new HandJob(t, Buffer.from('61e282', 'hex'))
  const items = collect(job)
  await new Promise(resolve => setTimeout(resolve, 50))
  job.end(3)
  assert.deepEqual(typesOf(await items), ['job.created', 'log', 'log', 'job.completed'])
  assert.deepEqual(bytesOf(await items), Buffer.from('61e282', 'hex'))
})

test('what is written after the end belongs to nobody', async t => {
  const job = new HandJob(t, 'mine, and what a descendant wrote later')
  job.end(4)
  assert.equal(await logSize(job), 4)
  assert.equal(textOf(await collect(job)), 'mine')
  assert.equal(textOf(await collect(job, 2)), 'ne')
  assert.deepEqual(typesOf(await collect(job, 4, 1)), ['job.completed'])
  const chunks: Buffer[] = []
  for await (const chunk of readLog(job, 1, undefined, never)) chunks.push(chunk)
  assert.equal(Buffer.concat(chunks).toString(), 'ine')
})

test('a log that is shorter than it should be ends the feed all the same', async t => {
  const job = new HandJob(t, 'short')
  job.end(1000)
  assert.deepEqual(typesOf(await collect(job)), ['job.created', 'log', 'job.completed'])
})

test('many followers, some raw, some resumed, of a log that grows to its end', async t => {
  const job = new HandJob(t)
  const whole = Buffer.from(Array.from({ length: 2000 }, (_, n) => `Zeile ${n} – 🙂\n`).join(''))
  const followers = Array.from({ length: 20 }, () => collect(job))
  const raw = Array.from({ length: 5 }, async () => {
    const chunks: Buffer[] = []
    for await (const chunk of readLog(job, 0, undefined, never)) chunks.push(chunk)
    return Buffer.concat(chunks)
  })
  for (let offset = 0; offset < whole.length; offset += 997) {
    job.write(whole.subarray(offset, offset + 997))
    if (offset % 2 === 0) await new Promise(resolve => setImmediate(resolve))
    if (offset % 7 === 0) followers.push(collect(job))
  }
  job.end(whole.length)
  for (const items of await Promise.all(followers)) {
    assert.ok(bytesOf(items).equals(whole))
    assert.ok(!textOf(items).includes('\ufffd'))
    assert.equal(typesOf(items).at(-1), 'job.completed')
  }
  for (const copy of await Promise.all(raw)) assert.ok(copy.equals(whole))
})

test('a follower of a job that is removed is told so', async t => {
  const job = new HandJob(t, 'x')
  const items = collect(job)
  await new Promise(resolve => setTimeout(resolve, 50))
  job.gone = true
  job.bell.ring()
  await assert.rejects(items, { code: 'job_not_found' })
})

test('ten thousand waits leave no listener on the signal', async t => {
  const job = new HandJob(t)
  const abort = new AbortController()
  let listeners = 0
  const { addEventListener, removeEventListener } = abort.signal
  t.mock.method(
    abort.signal,
    'addEventListener',
    function (this: AbortSignal, ...args: Parameters<typeof addEventListener>) {
      listeners++
      return addEventListener.apply(this, args)
    },
  )
  t.mock.method(
    abort.signal,
    'removeEventListener',
    function (this: AbortSignal, ...args: Parameters<typeof removeEventListener>) {
      listeners--
      return removeEventListener.apply(this, args)
    },
  )
  for (let round = 0; round < 10_000; round++) {
    const woken = job.bell.wait(job.bell.version, abort.signal)
    job.bell.ring()
    await woken
  }
  assert.equal(listeners, 0)
})
