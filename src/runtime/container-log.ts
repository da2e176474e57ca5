import { addAbortSignal, type Readable } from 'node:stream'
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

/**
 * What a container writes, stdout and stderr as one stream of bytes. Pulled: what is not asked for stays with the engine.
 * @param signal ends it, also while it waits for bytes
 * @throws Error with the engine's sentence
 */
export async function openContainerLog(
  engine: Engine,
  id: string,
  { since, tail, follow }: LogStart,
  signal: AbortSignal,
): Promise<AsyncIterable<Buffer>> {
  const { Config } = await engine.call('container', abortSignal =>
    engine.docker.getContainer(id).inspect({ abortSignal }),
  )
  const start = { ...(since !== undefined && { since }), ...(tail !== undefined && { tail }) }
  const query = { stdout: true, stderr: true, follow, ...start }
  const stream = addAbortSignal(signal, await engine.open('log', `/containers/${id}/logs`, query))
  return endsWith(signal, Config.Tty ? stream : unframe(stream), stream)
}

/** A stream that was aborted simply ends; one whose engine went away does not: nobody knows what came after. */
async function* endsWith(signal: AbortSignal, bytes: AsyncIterable<Buffer>, stream: Readable): AsyncGenerator<Buffer> {
  try {
    yield* bytes
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    stream.destroy()
  }
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
