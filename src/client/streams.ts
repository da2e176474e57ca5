import type { JobEvent, JobFrame, JobMeta } from '../../schemas/jobs.js'
import type { Result } from './client.js'
import { FrameReader, type SocketEnd, type SocketLike } from './socket.js'

/** What a job's stream yields: each byte of the log once, each event once. The job's last event comes last. */
export type JobStreamItem =
  /** `offset` is the one after `data`: with `seq`, what to store to go on from here another time. */
  { type: 'log'; offset: number; data: string } | { type: 'event'; seq: number; event: JobEvent }

export interface StreamJobOptions {
  /** Bytes of the log, and the seq of the last event, that are known already. */
  logsFrom?: number
  eventsFrom?: number
  /** Ends the iteration, without an error. */
  signal?: AbortSignal
  /** Told before each pause between two attempts. */
  onReconnect?: (why: { attempt: number; delayMs: number; reason: string }) => void
}

/** A stream that cannot go on: the code is one of hackd's, or a close code as text. */
export class StreamError extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.name = 'StreamError'
    this.code = code
  }
}

export interface JobConnection {
  open: () => Promise<SocketLike>
  /** Tells why a handshake failed: browsers do not. */
  look: () => Promise<Result<{ job: JobMeta }>>
}

/** hackd sends a heartbeat every 5 s. */
const silenceMs = 20_000
const firstDelayMs = 250
const longestDelayMs = 10_000
const finalCodes: Record<number, string> = { 1008: 'policy', 4401: 'invalid_token', 4403: 'project_disabled' }

/** Follows a job to its end, through lost connections. @throws StreamError when hackd refuses for good */
export async function* streamJob(
  connection: JobConnection,
  options: StreamJobOptions = {},
): AsyncGenerator<JobStreamItem, void> {
  const { signal } = options
  let [logsFrom, eventsFrom] = [options.logsFrom ?? 0, options.eventsFrom ?? 0]
  for (let attempt = 1; !signal?.aborted; attempt++) {
    const hello = { type: 'hello', logsFrom, eventsFrom }
    const reader = new FrameReader<JobFrame>(await connection.open(), hello, silenceMs, signal)
    for await (const frame of reader) {
      if (frame.type === 'error') throw new StreamError(frame.message, frame.detail ?? frame.message)
      if (frame.type === 'ready') attempt = 0
      if (frame.type === 'log' && frame.offset > logsFrom) {
        logsFrom = frame.offset
        yield { type: 'log', offset: frame.offset, data: frame.data }
      }
      if (frame.type === 'event' && frame.seq > eventsFrom) {
        eventsFrom = frame.seq
        yield { type: 'event', seq: frame.seq, event: frame.event }
      }
    }
    if (signal?.aborted || reader.end.code === 1000) return
    const refusal = await refusalOf(reader.end, connection)
    if (refusal) throw refusal
    const delayMs = Math.min(longestDelayMs, firstDelayMs * 2 ** attempt) * (0.5 + Math.random() / 2)
    options.onReconnect?.({ attempt: attempt + 1, delayMs, reason: reader.end.reason || String(reader.end.code) })
    await pause(delayMs, signal)
  }
}

/** Undefined when another attempt may succeed. */
async function refusalOf({ code, reason, wasOpen }: SocketEnd, { look }: JobConnection) {
  const final = finalCodes[code]
  if (final !== undefined) return new StreamError(reason || final, `The stream was closed: ${reason || final}.`)
  if (wasOpen) return undefined
  const result = await look()
  if (result.ok || result.status === 0 || result.status === 429 || result.status >= 500) return undefined
  return new StreamError(result.error.code, result.error.message)
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done, { once: true })
    function done() {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
  })
}
