import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { Value } from '@sinclair/typebox/value'
import { JobEvent, JobMeta } from '../../schemas/jobs.js'
import { parseLines } from '../storage/jsonl.js'
import { Bell } from './bell.js'
import { isOver, type JobRecord } from './job.js'
import { isJobId } from './job-id.js'
import { LogFollower } from './log-follower.js'

/** The most that is read of a record file, and the most jobs that are listed: a repository may hold anything. */
const recordBytes = 4 * 1024 * 1024
const jobsMax = 1000

/**
 * Jobs that an earlier tool left in a repository: read-only history. A stranger may have written them, so nothing in
 * them is started, adopted, signalled or deleted, no symlink is followed, and what claims to run is lost.
 */
export class LegacyJobs {
  readonly #projectId: string
  readonly #folder: string
  #stamp = ''
  #jobs = new Map<string, LegacyJob>()

  constructor(projectId: string, projectDir: string) {
    this.#projectId = projectId
    this.#folder = join(projectDir, 'supervisor', 'jobs')
  }

  /** All of them by id, read again only when the folder has changed. */
  all(): ReadonlyMap<string, JobRecord> {
    const stamp = this.#look()
    if (stamp !== this.#stamp) {
      this.#stamp = stamp
      this.#jobs = stamp === '' ? new Map() : this.#load()
    }
    return this.#jobs
  }

  /** Empty unless every folder on the way is a real one. */
  #look(): string {
    const parts = [this.#folder, join(this.#folder, '..'), join(this.#folder, '..', '..')]
    const stats = parts.map(path => lstatSync(path, { bigint: true, throwIfNoEntry: false }))
    if (!stats.every(stat => stat?.isDirectory())) return ''
    return `${stats[0]?.ino}:${stats[0]?.mtimeNs}`
  }

  #load(): Map<string, LegacyJob> {
    const jobs = new Map<string, LegacyJob>()
    for (const id of readdirSync(this.#folder).filter(isJobId).sort().slice(-jobsMax)) {
      const job = loadJob(join(this.#folder, id), id, this.#projectId)
      if (job) jobs.set(id, job)
    }
    return jobs
  }
}

class LegacyJob implements JobRecord {
  readonly meta: JobMeta
  readonly bell = new Bell()
  readonly log: LogFollower
  readonly gone = false
  readonly #events: readonly JobEvent[]

  constructor(meta: JobMeta, log: string, events: readonly JobEvent[]) {
    this.meta = meta
    this.log = new LogFollower(log, () => undefined)
    this.#events = events
  }

  async events(): Promise<readonly JobEvent[]> {
    return this.#events
  }
}

function loadJob(folder: string, jobId: string, projectId: string): LegacyJob | undefined {
  try {
    if (!lstatSync(folder).isDirectory()) return undefined
    const meta: unknown = JSON.parse(readRecord(join(folder, 'meta.json')))
    if (!Value.Check(JobMeta, meta) || meta.jobId !== jobId) return undefined
    const log = join(folder, 'combined.log')
    const stat = lstatSync(log, { throwIfNoEntry: false })
    const logsBytes = stat?.isFile() ? stat.size : 0
    const { pid: _pid, ...rest } = meta
    const past: JobMeta = { ...rest, projectId, logsBytes }
    const known = isOver(meta) ? past : { ...past, status: 'failed' as const, reason: 'lost' as const }
    return new LegacyJob(known, stat?.isFile() ? log : '/dev/null', readEvents(join(folder, 'events.jsonl')))
  } catch {
    return undefined
  }
}

function readEvents(path: string): JobEvent[] {
  try {
    return parseLines(readRecord(path), JobEvent).records.sort((a, b) => a.seq - b.seq)
  } catch {
    return []
  }
}

/** The text of a plain file. Neither a symlink is followed nor a FIFO waited for. */
function readRecord(path: string): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    if (!fstatSync(fd).isFile()) throw new Error(`${path} is not a plain file`)
    const buffer = Buffer.alloc(Math.min(fstatSync(fd).size, recordBytes))
    return buffer.toString('utf8', 0, readSync(fd, buffer, 0, buffer.length, 0))
  } finally {
    closeSync(fd)
  }
}
