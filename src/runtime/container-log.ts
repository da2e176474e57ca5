import { addAbortSignal } from 'node:stream'
import { completeUtf8 } from '../storage/utf8.js'
import type { Engine } from './engine.js'
import { unframe } from './log-frames.js'

export interface LogStart {
  /** Seconds since the epoch; only what was written later. */
  since?: number
  /** Only this many of the last lines. */
  tail?: number
  /** Go on until the container ends. */
  follow: boolean
}

/** As much of what was passed on as has to be remembered to know where it ended. */
const memoryBytes = 64 * 1024

/**
 * What a container writes, stdout and stderr as one stream of bytes. Pulled: what is not asked for stays with the engine.
 * @param signal ends it, also while it waits for bytes
 * @throws Error with the engine's sentence
 */
export async function openContainerLog(
  engine: Engine,
  id: string,
  { follow, ...start }: LogStart,
  signal: AbortSignal,
): Promise<AsyncIterable<Buffer>> {
  const { Config } = await engine.call('container', abortSignal =>
    engine.docker.getContainer(id).inspect({ abortSignal }),
  )
  const open = async (query: LogStart): Promise<AsyncIterable<Buffer>> => {
    const stream = await engine.open('log', `/containers/${id}/logs`, { stdout: true, stderr: true, ...query })
    addAbortSignal(signal, stream)
    return Config.Tty ? (stream as AsyncIterable<Buffer>) : unframe(stream)
  }
  const log = await open({ follow, ...start })
  if (!follow) return endingWith(signal, log)
  return endingWith(
    signal,
    completed(log, () => open({ follow: false, ...start, tail: 2 }), start.tail === undefined),
  )
}

/** A stream that was aborted simply ends; one whose engine went away does not: nobody knows what came after. */
async function* endingWith(signal: AbortSignal, bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* bytes
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/**
 * A followed log and, after it, what some engines (20.10) leave out of it: a last line without its newline.
 * @param fromStart whether everything there was has been passed on, so that what nothing was seen of is new
 */
async function* completed(
  log: AsyncIterable<Buffer>,
  openEnd: () => Promise<AsyncIterable<Buffer>>,
  fromStart: boolean,
): AsyncGenerator<Buffer> {
  let seen = Buffer.alloc(0)
  for await (const chunk of log) {
    seen = Buffer.concat([seen, chunk]).subarray(-memoryBytes)
    yield chunk
  }
  if (seen.length === 0 && !fromStart) return
  let end = Buffer.alloc(0)
  try {
    for await (const chunk of await openEnd()) end = Buffer.concat([end, chunk])
  } catch {
    // The container has been removed: what there was of it has been passed on.
    return
  }
  // It may begin before what a log that begins at its last lines has passed on.
  if (seen.length > 0 && seen.length <= end.length && end.subarray(-seen.length).equals(seen)) return
  const unseen = end.subarray(overlap(seen, end))
  if (unseen.length > 0 && unseen.at(-1) !== newline) yield unseen
}

const newline = 0x0a

/** How many of the first bytes of `end` are the last of `seen`. */
function overlap(seen: Buffer, end: Buffer): number {
  for (let length = Math.min(seen.length, end.length); length > 0; length--)
    if (seen.subarray(-length).equals(end.subarray(0, length))) return length
  return 0
}

export interface LogChunk {
  /** Bytes since the stream's start, after these. */
  offset: number
  /** Whole UTF-8 sequences. */
  bytes: Buffer
}

/** Numbers the bytes of a stream, and never cuts a UTF-8 sequence that its next bytes complete. */
export async function* numbered(source: AsyncIterable<Buffer>): AsyncGenerator<LogChunk> {
  let offset = 0
  let held = Buffer.alloc(0)
  for await (const chunk of source) {
    const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    const length = completeUtf8(bytes)
    held = Buffer.from(bytes.subarray(length))
    if (length === 0) continue
    offset += length
    yield { offset, bytes: bytes.subarray(0, length) }
  }
  if (held.length > 0) yield { offset: offset + held.length, bytes: held }
}
