import { Value } from '@sinclair/typebox/value'
import type { JobFrame } from '../../schemas/jobs.js'
import { ServiceHello } from '../../schemas/runtime.js'
import { GatewayError } from '../errors.js'
import { type LogStart, numbered } from './container-log.js'

/** What a session needs of its connection. */
export interface LogPeer {
  /** Resolves when the peer has taken enough of what was sent for more to be made. */
  send(frame: string): Promise<void>
  /** Aborts when the connection is over. */
  readonly signal: AbortSignal
}

type Start = Omit<LogStart, 'follow'>
type Open = (start: Start, signal: AbortSignal) => Promise<AsyncIterable<Buffer>>

const heartbeatMs = 5000

/** One client's stream of a service's log, in the frames of a job's; it knows no sockets and no engine. */
export class ServiceLogSession {
  readonly #open: Open
  readonly #peer: LogPeer
  #asked: Start | undefined
  #wake: () => void = () => undefined
  #reading = new AbortController()
  #offset = 0

  constructor(open: Open, peer: LogPeer) {
    this.#open = open
    this.#peer = peer
    peer.signal.addEventListener('abort', () => this.#interrupt())
  }

  /** Takes a frame of the client. False when it is none that this stream knows. */
  receive(message: unknown): boolean {
    if (!Value.Check(ServiceHello, message)) return false
    const { since, tail } = message
    this.#asked = { ...(since !== undefined && { since }), ...(tail !== undefined && { tail }) }
    this.#interrupt()
    return true
  }

  /** Serves one hello after the other, until the containers are over or the client gone. */
  async run(): Promise<{ code: number; reason: string }> {
    try {
      while (!this.#peer.signal.aborted) {
        const start = await this.#nextHello()
        if (start && (await this.#stream(start))) return { code: 1000, reason: 'log_ended' }
      }
      return { code: 1000, reason: '' }
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      await this.#send({ type: 'error', message: error.code, detail: error.message })
      return { code: 1008, reason: error.code }
    }
  }

  #interrupt(): void {
    this.#reading.abort()
    this.#wake()
  }

  async #nextHello(): Promise<Start | undefined> {
    if (!this.#asked && !this.#peer.signal.aborted)
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    const start = this.#asked
    this.#asked = undefined
    this.#reading = new AbortController()
    if (this.#peer.signal.aborted) this.#reading.abort()
    return start
  }

  /** True when the log has ended, false when another hello or the end of the connection came first. */
  async #stream(start: Start): Promise<boolean> {
    const { signal } = this.#reading
    const log = await this.#open(start, signal)
    this.#offset = 0
    await this.#send({ type: 'ready', logsOffset: 0, eventsSeq: 0 })
    const heartbeat = setInterval(() => void this.#beat(), heartbeatMs)
    try {
      for await (const { offset, bytes } of numbered(log)) {
        if (signal.aborted) return false
        this.#offset = offset
        await this.#send({ type: 'log', stream: 'combined', offset, data: bytes.toString() })
      }
      return !signal.aborted
    } finally {
      clearInterval(heartbeat)
    }
  }

  #beat(): Promise<void> {
    return this.#send({ type: 'heartbeat', ts: new Date().toISOString(), logsOffset: this.#offset, eventsSeq: 0 })
  }

  #send(frame: JobFrame): Promise<void> {
    return this.#peer.send(JSON.stringify(frame))
  }
}
