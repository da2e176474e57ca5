import type { FastifyReply, FastifyRequest } from 'fastify'
import type { RawData, WebSocket } from 'ws'
import type { Access } from '../src/auth/access.js'
import type { Actor } from '../src/auth/actor.js'
import type { LiveConfig } from '../src/config.js'
import { GatewayError } from '../src/errors.js'

/** What a stream reaches: decided again whenever tokens, config or projects change. */
export interface StreamScope {
  projectId: string
  write: boolean
}

export interface StreamEnd {
  code: number
  reason: string
}

/** What serves one stream. Built when the socket is open; it pulls its own output and is handed the client's frames. */
export type StreamSession = MessageSession | InputSession

/** Takes JSON objects; a client that sends anything else is put out. */
export interface MessageSession {
  /** False for a frame that is not of this protocol. */
  receive(message: unknown): boolean
  run(): Promise<StreamEnd>
}

/** Takes every frame as it came: whatever a client sends means something here. */
export interface InputSession {
  /** Resolves when the frame has been dealt with. While too much waits for that, the socket is not read. */
  take(bytes: Buffer, isBinary: boolean): Promise<void>
  run(): Promise<StreamEnd>
}

export interface StreamsOptions {
  access: Access
  config: LiveConfig
}

/** How much may wait in a socket before its session has to. */
const sendBufferBytes = 256 * 1024
/** How much may have come in that its session has not dealt with before the socket is not read any more. */
const untakenBytes = 64 * 1024
const pingMs = 20_000
const silenceMs = 60_000
const malformedMax = 10
const depthMax = 16
/** How long a peer may take to answer a close. */
const closeMs = 2000
const shuttingDown: StreamEnd = { code: 1001, reason: 'shutting_down' }

/** A stream as the registry sees it, whatever carries it. */
interface LiveStream {
  readonly actor: Actor
  readonly scope: StreamScope
  close(code: number, reason: string): Promise<void>
  ping(): void
}

/** All open streams: their number, their right to go on, and whether their peers are still there. */
export class StreamRegistry {
  readonly #options: StreamsOptions
  readonly #reserved = new Map<FastifyRequest, Actor>()
  readonly #streams = new Set<LiveStream>()
  readonly #pings: NodeJS.Timeout
  #closing = false

  constructor(options: StreamsOptions) {
    this.#options = options
    this.#pings = setInterval(() => this.#pingAll(), pingMs).unref()
  }

  get active(): number {
    return this.#streams.size
  }

  /** Reserves a place, before the upgrade, for as long as the answer lasts. @throws GatewayError too_many_streams */
  reserve(request: FastifyRequest, reply: FastifyReply): void {
    if (this.#closing) throw new GatewayError('shutting_down')
    const { total, perToken } = this.#options.config.current.gateway.maxStreams
    const { actor } = request
    if (actor.kind === 'token') {
      const own = [...this.#reserved.values()].filter(
        other => other.kind === 'token' && other.tokenId === actor.tokenId,
      )
      if (this.#reserved.size >= total || own.length >= perToken) throw new GatewayError('too_many_streams')
    }
    this.#reserved.set(request, actor)
    const { socket } = request.raw
    // An answer ends before its connection does, which may bear many more; after an upgrade they end together.
    const release = () => {
      this.#reserved.delete(request)
      socket.off('close', release)
      reply.raw.off('close', release)
    }
    socket.once('close', release)
    reply.raw.once('close', release)
  }

  /** Serves an open socket until either side ends it. Listeners are attached before anything is awaited. */
  serve(
    request: FastifyRequest,
    socket: WebSocket,
    scope: StreamScope,
    begin: (stream: Stream) => StreamSession,
  ): void {
    const stream = new Stream(socket, request.actor, scope)
    this.#streams.add(stream)
    request.audit.takeOver()
    const session = begin(stream)
    stream.listen(session)
    socket.once('close', () => {
      this.#streams.delete(stream)
      request.audit.finish({ bytesIn: stream.bytesIn, bytesOut: stream.bytesOut })
    })
    // What was true at the handshake may have changed while its intent was put on record.
    this.#recheckOne(stream)
    session.run().then(
      async ({ code, reason }) => {
        // A slow peer is not cut off from what it was sent last.
        await stream.flushed
        await stream.close(code, reason)
      },
      error => {
        request.log.error({ err: error, requestId: request.id }, 'a stream failed')
        stream.close(1011, 'internal_error')
      },
    )
  }

  /** Counts an HTTP answer that stays open as a stream. It has no close codes: it is cut off. */
  hold(request: FastifyRequest, reply: FastifyReply, scope: StreamScope): void {
    const { socket } = reply.raw
    const stream: LiveStream = {
      actor: request.actor,
      scope,
      close: async () => void socket?.destroy(),
      ping: () => undefined,
    }
    this.#streams.add(stream)
    reply.raw.once('close', () => this.#streams.delete(stream))
    this.#recheckOne(stream)
  }

  /** Ends the streams that may not go on. Called when tokens, config or projects have changed. */
  recheck(): void {
    for (const stream of this.#streams) this.#recheckOne(stream)
  }

  #recheckOne(stream: LiveStream): void {
    const { access } = this.#options
    const refusal = this.#closing ? shuttingDown : access.streamRefusal(stream.actor, stream.scope)
    if (refusal) stream.close(refusal.code, refusal.reason)
  }

  #pingAll(): void {
    for (const stream of this.#streams) stream.ping()
  }

  /** Tells every peer that hackd goes away. */
  async close(): Promise<void> {
    this.#closing = true
    clearInterval(this.#pings)
    await Promise.all([...this.#streams].map(stream => stream.close(shuttingDown.code, shuttingDown.reason)))
  }
}

/** One open WebSocket. */
export class Stream implements LiveStream {
  readonly actor: Actor
  readonly scope: StreamScope
  bytesIn = 0
  bytesOut = 0
  readonly #socket: WebSocket
  readonly #abort = new AbortController()
  #heard = performance.now()
  #malformed = 0
  #flushed: Promise<void> = Promise.resolve()
  #untaken = 0
  #closed: Promise<void> | undefined

  constructor(socket: WebSocket, actor: Actor, scope: StreamScope) {
    this.actor = actor
    this.scope = scope
    this.#socket = socket
  }

  /** Aborts when the stream is over, or about to be. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Bytes that were sent and that the system has not taken yet. */
  get buffered(): number {
    return this.#socket.bufferedAmount
  }

  listen(session: StreamSession): void {
    this.#socket.on('message', (data, isBinary) => this.#receive(session, data, isBinary))
    this.#socket.on('pong', () => this.#hear())
    this.#socket.on('ping', () => this.#hear())
    // A protocol error closes the socket by itself (RFC 6455, §7.1.7); `close` follows.
    this.#socket.on('error', () => this.#abort.abort())
    this.#socket.once('close', () => this.#abort.abort())
  }

  /** Sends a text frame; waits while too much of what was sent before is still here. */
  async send(frame: string | Uint8Array): Promise<void> {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    this.bytesOut += Buffer.byteLength(frame)
    this.#flushed = new Promise(resolve => this.#socket.send(frame, { binary: false }, () => resolve()))
    if (this.#socket.bufferedAmount > sendBufferBytes) await this.#flushed
  }

  /** Resolves when the system has taken all that was sent, or the socket is gone. */
  get flushed(): Promise<void> {
    return this.#flushed
  }

  /** Begins the closing handshake, once; a peer that does not answer is cut off. */
  close(code: number, reason: string): Promise<void> {
    this.#closed ??= new Promise(resolve => {
      const cut = setTimeout(() => this.#socket.terminate(), closeMs)
      this.#socket.once('close', () => {
        clearTimeout(cut)
        resolve()
      })
      if (this.#socket.readyState === this.#socket.CLOSED) {
        clearTimeout(cut)
        resolve()
      }
      this.#socket.close(code, reason)
      this.#abort.abort()
      // What a session did not read lies before the peer's answer.
      this.#socket.resume()
    })
    return this.#closed
  }

  ping(): void {
    // A socket that is not read tells nothing of its peer.
    if (this.#socket.isPaused) this.#hear()
    if (performance.now() - this.#heard > silenceMs) this.#socket.terminate()
    else if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping()
  }

  #hear(): void {
    this.#heard = performance.now()
  }

  #receive(session: StreamSession, data: RawData, isBinary: boolean): void {
    this.#hear()
    const bytes = data as Buffer
    this.bytesIn += bytes.length
    if ('take' in session) this.#hand(session, bytes, isBinary)
    else this.#judge(session, bytes, isBinary)
  }

  #hand(session: InputSession, bytes: Buffer, isBinary: boolean): void {
    this.#untaken += bytes.length
    if (this.#untaken > untakenBytes) this.#socket.pause()
    session.take(bytes, isBinary).then(
      () => {
        this.#untaken -= bytes.length
        if (this.#untaken <= untakenBytes && this.#socket.isPaused) this.#socket.resume()
      },
      () => this.close(1011, 'internal_error'),
    )
  }

  #judge(session: MessageSession, bytes: Buffer, isBinary: boolean): void {
    const message = isBinary ? undefined : parseFrame(bytes)
    if (message === 'hostile') return void this.close(1008, 'invalid_frame')
    if (message !== undefined && session.receive(message)) this.#malformed = 0
    else if (++this.#malformed >= malformedMax) void this.close(1008, 'invalid_frames')
  }
}

/** The JSON object of a text frame; undefined when there is none, `hostile` for what no honest client sends. */
function parseFrame(bytes: Buffer): object | 'hostile' | undefined {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString())
  } catch {
    return undefined
  }
  if (isHostile(value, 1)) return 'hostile'
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
}

function isHostile(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (depth > depthMax || Object.hasOwn(value, '__proto__')) return true
  return Object.values(value).some(inner => isHostile(inner, depth + 1))
}
