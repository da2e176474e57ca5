import { Value } from '@sinclair/typebox/value'
import { type JobFrame, JobHello } from '../../schemas/jobs.js'
import { GatewayError } from '../errors.js'
import type { FeedItem, FeedStart } from './job-feed.js'

/** The job that a session streams. */
export interface SessionSource {
  /** The current end of its log and of its events. */
  position(): Promise<{ logsBytes: number; eventsSeq: number }>
  follow(start: FeedStart, signal: AbortSignal): AsyncIterable<FeedItem>
}

/** What a session needs of its connection. */
export interface SessionPeer {
  /** Resolves when the peer has taken enough of what was sent for more to be made. */
  send(frame: Uint8Array): Promise<void>
  /** Aborts when the connection is over. */
  readonly signal: AbortSignal
}

/** Why a session is over, as a WebSocket close (RFC 6455, §7.4). */
export interface SessionEnd {
  code: number
  reason: string
}

const heartbeatMs = 5000

/** Followers at the same place are given the same chunk: it is encoded once. */
const encoded = new WeakMap<Buffer, Buffer>()

/** One client's stream of one job (contract of …/jobs/:jobId/stream). It knows frames, and no sockets. */
export class JobSession {
  readonly #source: SessionSource
  readonly #peer: SessionPeer
  #asked: FeedStart | undefined
  #wake: () => void = () => undefined
  #feed = new AbortController()
  #logsOffset = 0
  #eventsSeq = 0

  constructor(source: SessionSource, peer: SessionPeer) {
    this.#source = source
    this.#peer = peer
    peer.signal.addEventListener('abort', () => this.#interrupt())
  }

  /** Takes a frame of the client. False when it is none that this stream knows. */
  receive(message: unknown): boolean {
    if (!Value.Check(JobHello, message)) return false
    this.#asked = { logsFrom: message.logsFrom ?? 0, eventsFrom: message.eventsFrom ?? 0 }
    this.#interrupt()
    return true
  }

  #interrupt(): void {
    this.#feed.abort()
    this.#wake()
  }

  /** Serves one hello after the other, until the job is over or the client gone. Never rejects for a client's fault. */
  async run(): Promise<SessionEnd> {
    try {
      while (!this.#peer.signal.aborted) {
        const start = await this.#nextHello()
        if (start && (await this.#begin(start)) && (await this.#stream(start)))
          return { code: 1000, reason: 'job_finished' }
      }
      return { code: 1000, reason: '' }
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      await this.#send({ type: 'error', message: error.code, detail: error.message })
      return { code: 1008, reason: error.code }
    }
  }

  async #nextHello(): Promise<FeedStart | undefined> {
    if (!this.#asked && !this.#peer.signal.aborted)
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    const start = this.#asked
    this.#asked = undefined
    this.#feed = new AbortController()
    if (this.#peer.signal.aborted) this.#feed.abort()
    return start
  }

  /** False when the client asked for what is not there yet; it may ask again. */
  async #begin({ logsFrom, eventsFrom }: FeedStart): Promise<boolean> {
    const { logsBytes, eventsSeq } = await this.#source.position()
    if (logsFrom > logsBytes || eventsFrom > eventsSeq) {
      const detail = `The log has ${logsBytes} bytes and the last event is ${eventsSeq}.`
      await this.#send({ type: 'error', message: 'offset_out_of_range', detail })
      return false
    }
    this.#logsOffset = logsFrom
    this.#eventsSeq = eventsFrom
    await this.#send({ type: 'ready', logsOffset: logsFrom, eventsSeq: eventsFrom })
    return true
  }

  /** True when the job's end has been sent, false when another hello or the end of the connection came first. */
  async #stream(start: FeedStart): Promise<boolean> {
    const { signal } = this.#feed
    const heartbeat = setInterval(() => void this.#beat(), heartbeatMs)
    try {
      for await (const item of this.#source.follow(start, signal)) {
        if (signal.aborted) return false
        await this.#peer.send(this.#frameOf(item))
      }
      return !signal.aborted
    } finally {
      clearInterval(heartbeat)
    }
  }

  #frameOf(item: FeedItem): Buffer {
    if (item.kind === 'event') {
      this.#eventsSeq = item.event.seq
      return encode({ type: 'event', seq: item.event.seq, event: item.event })
    }
    this.#logsOffset = item.offset
    const known = encoded.get(item.bytes)
    if (known !== undefined) return known
    const frame = encode({ type: 'log', stream: 'combined', offset: item.offset, data: item.bytes.toString() })
    encoded.set(item.bytes, frame)
    return frame
  }

  #beat(): Promise<void> {
    return this.#send({
      type: 'heartbeat',
      ts: new Date().toISOString(),
      logsOffset: this.#logsOffset,
      eventsSeq: this.#eventsSeq,
    })
  }

  #send(frame: JobFrame): Promise<void> {
    return this.#peer.send(encode(frame))
  }
}

function encode(frame: JobFrame): Buffer {
  return Buffer.from(JSON.stringify(frame))
}
