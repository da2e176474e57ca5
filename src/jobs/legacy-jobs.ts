import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import type { TObject } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { JobEvent, JobMeta } from '../../schemas/jobs.js'
import { parseLines } from '../storage/jsonl.js'
import { Bell } from './bell.js'
import { isOver, type JobRecord } from './job.js'
import { ascending } from './job-folder.js'
import { isJobId } from './job-id.js'
import { isDeeperThan } from './json-depth.js'
import { LogFollower } from './log-follower.js'

/** The most that is read of a record file, and the most jobs that are listed: a repository may hold anything. */
const metaBytes = 64 * 1024
const eventsBytes = 4 * 1024 * 1024
const jobsMax = 1000
const depthMax = 32

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

  /** Empty unless every folder on the way is a real one, and may be read. */
  #look(): string {
    const parts = [this.#folder, join(this.#folder, '..'), join(this.#folder, '..', '..')]
    try {
      const stats = parts.map(path => lstatSync(path, { bigint: true }))
      if (!stats.every(stat => stat.isDirectory())) return ''
      return `${stats[0]?.ino}:${stats[0]?.mtimeNs}`
    } catch {
      return ''
    }
  }

  #load(): Map<string, LegacyJob> {
    const jobs = new Map<string, LegacyJob>()
    for (const id of listNames(this.#folder).filter(isJobId).sort().slice(-jobsMax)) {
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
  readonly #events: string

  constructor(meta: JobMeta, log: string, events: string) {
    this.meta = meta
    this.log = new LogFollower(log, () => undefined)
    this.#events = events
  }

  /** Read when somebody asks: a listing must not cost what a stranger may have put there. */
  async events(): Promise<readonly JobEvent[]> {
    return readEvents(this.#events)
  }
}

function listNames(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function loadJob(folder: string, jobId: string, projectId: string): LegacyJob | undefined {
  try {
    if (!lstatSync(folder).isDirectory()) return undefined
    const meta = knownFields(JobMeta, JSON.parse(readRecord(join(folder, 'meta.json'), metaBytes)))
    if (!Value.Check(JobMeta, meta) || meta.jobId !== jobId) return undefined
    const log = join(folder, 'combined.log')
    const stat = lstatSync(log, { throwIfNoEntry: false })
    const logsBytes = stat?.isFile() ? stat.size : 0
    const { pid: _pid, ...rest } = meta
    const past: JobMeta = { ...rest, projectId, logsBytes }
    const known = isOver(meta) ? past : { ...past, status: 'failed' as const, reason: 'lost' as const }
    return new LegacyJob(known, stat?.isFile() ? log : '/dev/null', join(folder, 'events.jsonl'))
  } catch {
    return undefined
  }
}

/** What else a record holds, however deep, is not handed on. */
function knownFields({ properties }: TObject, record: object): unknown {
  return Object.fromEntries(Object.entries(record).filter(([name]) => Object.hasOwn(properties, name)))
}

function readEvents(path: string): JobEvent[] {
  try {
    const { records } = parseLines(readRecord(path, eventsBytes), JobEvent)
    const clean = records.map(event => knownFields(JobEvent, event) as JobEvent)
    return ascending(clean.filter(({ payload }) => !isDeeperThan(depthMax, payload)))
  } catch {
    return []
  }
}

/** The text of a plain file. Neither a symlink is followed nor a FIFO waited for. */
function readRecord(path: string, maxBytes: number): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    if (!fstatSync(fd).isFile()) throw new Error(`${path} is not a plain file`)
    const buffer = Buffer.alloc(Math.min(fstatSync(fd).size, maxBytes))
    return buffer.toString('utf8', 0, readSync(fd, buffer, 0, buffer.length, 0))
  } finally {
    closeSync(fd)
  }
}
