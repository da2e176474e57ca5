import { Value } from '@sinclair/typebox/value'
import { FailureReason, type JobEvent, type JobMeta, type JobStatus } from '../../schemas/jobs.js'
import { Bell } from './bell.js'
import type { IdempotencyMark, JobFolder, JobRequest } from './job-folder.js'
import { LogFollower } from './log-follower.js'

/** What the readers of a job need: a live one and one of the history look the same to them. */
export interface JobRecord {
  readonly meta: JobMeta
  readonly bell: Bell
  readonly log: LogFollower
  /** True once the job has been removed. */
  readonly gone: boolean
  /** Ascending by seq. Of a live job the array grows. */
  events(): Promise<readonly JobEvent[]>
}

const over: ReadonlySet<JobStatus> = new Set(['completed', 'failed', 'cancelled'])

export function isOver(meta: JobMeta): boolean {
  return over.has(meta.status)
}

/** Where each status may go. States only move forward, but for the pause of `awaiting_input`. */
const moves: Record<JobStatus, readonly JobStatus[]> = {
  queued: ['starting', 'failed', 'cancelled'],
  starting: ['running', 'completed', 'failed', 'cancelled'],
  running: ['awaiting_input', 'completed', 'failed', 'cancelled'],
  awaiting_input: ['running', 'completed', 'failed', 'cancelled'],
  completed: [],
  failed: [],
  cancelled: [],
}

const retryMs = 1000

/** One job and its record on disk. */
export class Job implements JobRecord {
  readonly folder: JobFolder
  readonly bell = new Bell()
  readonly log: LogFollower
  gone = false
  #request: JobRequest
  #meta: JobMeta
  #events: JobEvent[] | undefined
  #queue: Promise<unknown> = Promise.resolve()
  #unsaved: JobEvent[] = []
  #retry: NodeJS.Timeout | undefined
  #isFailing = false
  #closed = false
  readonly #report: (problem: string) => void

  constructor(folder: JobFolder, request: JobRequest, meta: JobMeta, report: (problem: string) => void) {
    this.folder = folder
    this.#request = request
    this.#meta = meta
    this.#report = report
    this.log = new LogFollower(folder.log, () => this.bell.ring())
    if (!isOver(meta)) this.#events = []
  }

  get meta(): JobMeta {
    return this.#meta
  }

  get request(): JobRequest {
    return this.#request
  }

  /** Puts a new job on disk. Nothing of it is left when that fails. */
  async create(mark: IdempotencyMark | undefined): Promise<void> {
    try {
      const { status, runner } = this.#meta
      const event = this.#nextEvent('job.created', { status, runner })
      await this.folder.create(this.#request, mark, event)
      this.#apply(event, {})
      await this.folder.saveMeta(this.#meta)
    } catch (error) {
      await this.folder.remove().catch(() => undefined)
      throw error
    }
  }

  /** Takes up the record of an earlier hackd, which may have stopped between an event and its meta. */
  async restore(): Promise<void> {
    this.#events = await this.#readEvents().catch(error => {
      this.#report(`job ${this.#meta.jobId}: its events.jsonl cannot be read: ${(error as Error).message}`)
      return []
    })
    for (const event of this.#events) if (event.seq > this.#meta.lastEventSeq) this.#meta = replay(this.#meta, event)
    if (isOver(this.#meta)) return this.#restoreEnd()
    // Its start may be what damage took from the record: then it is looked for, and not started again.
    if (this.#meta.status === 'queued' && (await this.folder.wasBegun().catch(() => false)))
      this.#meta = { ...this.#meta, status: 'starting' }
    try {
      this.#request = (await this.folder.readRequest()) ?? this.#request
    } catch (error) {
      await this.#missRequest((error as Error).message)
    }
  }

  async #restoreEnd(): Promise<void> {
    this.log.take()
    const logsBytes = this.#meta.logsBytes ?? (await this.log.size().catch(() => 0))
    await this.log.release()
    this.#meta = { ...this.#meta, logsBytes }
    await this.#save(this.#meta)
    this.#events = undefined
  }

  /** Nobody knows any more with which environment a job was to run: one that waits is not run with another. */
  async #missRequest(error: string): Promise<void> {
    this.#report(`job ${this.#meta.jobId}: ${error}`)
    if (this.#meta.status !== 'queued') return
    const change = { reason: 'lost', finishedAt: new Date().toISOString(), logsBytes: 0 } as const
    await this.transition('failed', 'job.failed', { reason: 'lost', error }, change)
  }

  /** Of a job that is over: read from disk, kept by nobody. */
  async events(): Promise<readonly JobEvent[]> {
    return this.#events ?? this.#readEvents()
  }

  async #readEvents(): Promise<JobEvent[]> {
    const { records, damaged } = await this.folder.readEvents()
    if (damaged > 0) this.#report(`job ${this.#meta.jobId}: ${damaged} damaged lines in events.jsonl were skipped`)
    return records
  }

  /**
   * The one way to another status: persisted, then announced. False when the job has moved on meanwhile.
   * When the disk refuses, the new state stands in memory and is written once it no longer does.
   */
  transition(to: JobStatus, type: string, payload: JobEvent['payload'] = {}, change: Partial<JobMeta> = {}) {
    return this.#inTurn(async () => {
      if (this.#closed || !moves[this.#meta.status].includes(to)) return false
      await this.#commit(type, payload, { ...change, status: to })
      return true
    })
  }

  /** An event that leaves the status as it is. False when the job is over. */
  record(type: string, payload: JobEvent['payload']): Promise<boolean> {
    return this.#inTurn(async () => {
      if (this.#closed || isOver(this.#meta)) return false
      await this.#commit(type, payload, {})
      return true
    })
  }

  /** True while all that is known of the job is on disk. */
  get isSaved(): boolean {
    return this.#unsaved.length === 0
  }

  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(step)
    this.#queue = turn.catch(() => undefined)
    return turn
  }

  async #commit(type: string, payload: JobEvent['payload'], change: Partial<JobMeta>): Promise<void> {
    const event = this.#nextEvent(type, payload)
    const meta = advance(this.#meta, event, change)
    this.#unsaved.push(event)
    await this.#save(meta)
    this.#apply(event, change)
    this.#leaveEvents()
    // A read that began before the last byte was written must not pass for the end.
    this.log.forget()
    this.bell.ring()
  }

  /** Once a job is over and on disk, its events need not be kept. */
  #leaveEvents(): void {
    if (isOver(this.#meta) && this.isSaved) this.#events = undefined
  }

  async #save(meta: JobMeta): Promise<void> {
    clearTimeout(this.#retry)
    try {
      for (let event = this.#unsaved[0]; event; event = this.#unsaved[0]) {
        await this.folder.appendEvent(event)
        this.#unsaved.shift()
      }
      // That it is starting, the event alone records: until it runs, meta.json has nothing more to say.
      if (meta.status !== 'starting') await this.folder.saveMeta(meta)
      if (isOver(meta)) await this.folder.closeEvents()
      this.#isFailing = false
    } catch (error) {
      if (!this.#isFailing) this.#report(`job ${meta.jobId} cannot be recorded: ${(error as Error).message}`)
      this.#isFailing = true
      if (!this.#closed) this.#retry = setTimeout(() => void this.#inTurn(() => this.#saveAgain()), retryMs).unref()
    }
  }

  async #saveAgain(): Promise<void> {
    await this.#save(this.#meta)
    this.#leaveEvents()
  }

  #nextEvent(type: string, payload: JobEvent['payload']): JobEvent {
    const event: JobEvent = { seq: this.#meta.lastEventSeq + 1, ts: new Date().toISOString(), type }
    if (payload && Object.keys(payload).length > 0) event.payload = payload
    return event
  }

  #apply(event: JobEvent, change: Partial<JobMeta>): void {
    this.#meta = advance(this.#meta, event, change)
    this.#events?.push(event)
  }

  /** Nothing is recorded from here on: the next hackd will. Resolves when what was being recorded is on disk. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#retry)
    this.log.unwatch()
    await this.#inTurn(() => this.folder.closeEvents()).catch(() => undefined)
  }
}

function advance(meta: JobMeta, event: JobEvent, change: Partial<JobMeta>): JobMeta {
  return { ...meta, ...change, lastEventSeq: event.seq, updatedAt: event.ts }
}

/** Which status an event of ours leads to, for records whose meta.json is one step behind. */
function replay(meta: JobMeta, event: JobEvent): JobMeta {
  const payload = event.payload ?? {}
  const number = (key: string) => (typeof payload[key] === 'number' ? { [key]: payload[key] } : {})
  const signal = typeof payload.signal === 'string' ? { signal: payload.signal } : {}
  switch (event.type) {
    case 'job.starting':
      return advance(meta, event, { status: 'starting' })
    case 'job.started':
      return advance(meta, event, { status: 'running', startedAt: event.ts, ...number('pid') })
    case 'job.awaiting_input':
      return advance(meta, event, { status: 'awaiting_input' })
    case 'job.input':
      return advance(meta, event, { status: 'running' })
    case 'job.completed':
      return advance(meta, event, { status: 'completed', finishedAt: event.ts, ...number('exitCode') })
    case 'job.cancelled':
      return advance(meta, event, { status: 'cancelled', finishedAt: event.ts, ...signal })
    case 'job.failed': {
      const reason = Value.Check(FailureReason, payload.reason) ? { reason: payload.reason } : {}
      const facts = { ...reason, ...signal, ...number('exitCode') }
      return advance(meta, event, { status: 'failed', finishedAt: event.ts, ...facts })
    }
    default:
      return advance(meta, event, {})
  }
}
