import type { JobEvent } from '../../schemas/jobs.js'
import { GatewayError } from '../errors.js'
import { completeUtf8 } from '../storage/utf8.js'
import { isOver, type JobRecord } from './job.js'

/** What a follower of a job is given, in the order in which it may be shown. */
export type FeedItem =
  | {
      kind: 'log'
      /** The byte offset after `bytes`. */
      offset: number
      /** Whole UTF-8 sequences. Followers at the same place get the same object. */
      bytes: Buffer
    }
  | { kind: 'event'; event: JobEvent }

export interface FeedStart {
  /** A byte offset of the log. */
  logsFrom: number
  /** The seq of the last event that is known already. */
  eventsFrom: number
}

const terminal: ReadonlySet<string> = new Set(['job.completed', 'job.failed', 'job.cancelled'])

/** Bytes of the log that belong to the job: what was written before it ended. */
export async function logSize(job: JobRecord): Promise<number> {
  const size = await job.log.size()
  return isOver(job.meta) ? Math.min(size, job.meta.logsBytes ?? size) : size
}

/**
 * Follows a job to its end. Pulled: nothing is read before it is asked for. Every byte of the log comes before the
 * terminal event, and the feed ends after it.
 * @throws GatewayError job_not_found when the job is removed under the follower.
 */
export async function* followJob(job: JobRecord, start: FeedStart, signal: AbortSignal): AsyncGenerator<FeedItem> {
  const log = trimmedLog(job, start.logsFrom)
  const events = await job.events()
  let next = events.findIndex(event => event.seq > start.eventsFrom)
  if (next < 0) next = events.length
  job.log.take()
  try {
    while (!signal.aborted) {
      const version = job.bell.version
      const finished = isOver(job.meta)
      if (job.gone) throw new GatewayError('job_not_found', 'The job was removed.')
      for (let event = events[next]; event && !terminal.has(event.type); event = events[++next])
        yield { kind: 'event', event }
      const chunk = await log.next()
      if (chunk) {
        yield { kind: 'log', ...chunk }
        continue
      }
      if (finished) {
        for (const event of events.slice(next)) yield { kind: 'event', event }
        return
      }
      job.log.watch()
      // Watched from here on: look once more for what came between the read and the watch.
      const late = await log.next()
      if (late) yield { kind: 'log', ...late }
      else await job.bell.wait(version, signal)
    }
  } finally {
    await job.log.release()
  }
}

/** Reads on from an offset, and stops short of a UTF-8 sequence that may still be completed. */
function trimmedLog(job: JobRecord, from: number) {
  let offset = from
  return {
    async next(): Promise<{ offset: number; bytes: Buffer } | undefined> {
      const end = isOver(job.meta) ? (job.meta.logsBytes ?? 0) : Number.POSITIVE_INFINITY
      if (offset >= end) return undefined
      const chunk = await job.log.read(offset)
      const length = offset + chunk.length >= end ? end - offset : completeUtf8(chunk)
      if (length === 0) {
        job.log.forget()
        return undefined
      }
      offset += length
      return { offset, bytes: length === chunk.length ? chunk : chunk.subarray(0, length) }
    },
  }
}

/** The raw bytes of a log from `start` to `end`, or to the end of the job. */
export async function* readLog(job: JobRecord, start: number, end: number | undefined, signal: AbortSignal) {
  let offset = start
  job.log.take()
  try {
    while (!signal.aborted && (end === undefined || offset < end)) {
      const version = job.bell.version
      const limit = end ?? (isOver(job.meta) ? await logSize(job) : Number.POSITIVE_INFINITY)
      if (job.gone) throw new GatewayError('job_not_found', 'The job was removed.')
      // What the size promised is there by now: an empty read that a follower began before must not hide it.
      const chunk = end === undefined ? await job.log.read(offset) : await job.log.readNow(offset)
      const bytes = chunk.subarray(0, Math.max(0, limit - offset))
      offset += bytes.length
      if (bytes.length > 0) yield bytes
      else if (limit !== Number.POSITIVE_INFINITY) return
      else {
        job.log.watch()
        if ((await job.log.read(offset)).length === 0) await job.bell.wait(version, signal)
      }
    }
  } finally {
    await job.log.release()
  }
}
