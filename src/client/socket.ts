/** What is used of a WebSocket: the browser's, Node's own and that of the package `ws` all have it. */
export interface SocketLike {
  readonly readyState: number
  send(data: string): void
  close(code?: number, reason?: string): void
  addEventListener(type: 'open', listener: () => void): void
  addEventListener(type: 'error', listener: () => void): void
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void
  addEventListener(type: 'close', listener: (event: { code: number; reason: string }) => void): void
  /** Those of `ws`; browsers cannot stop reading. */
  pause?(): void
  resume?(): void
}

export type SocketClass = new (url: string, protocols?: string[]) => SocketLike

export interface SocketEnd {
  code: number
  reason: string
  /** False when the handshake was refused, or nobody answered. */
  wasOpen: boolean
}

/** More frames than this wait for the reader before the socket is paused. */
const waitingMax = 64
const open = 1

/** The text frames of one connection, in order, for `for await`; it ends when the connection does. */
export class FrameReader<Frame> implements AsyncIterable<Frame> {
  readonly #socket: SocketLike
  readonly #silenceMs: number
  readonly #waiting: Frame[] = []
  #wake: () => void = () => undefined
  #end: SocketEnd | undefined
  #wasOpen = false
  #silence: ReturnType<typeof setTimeout> | undefined

  /** `hello` is sent first. A peer that says nothing for `silenceMs` is gone. */
  constructor(socket: SocketLike, hello: object, silenceMs: number, signal?: AbortSignal) {
    this.#socket = socket
    this.#silenceMs = silenceMs
    socket.addEventListener('open', () => {
      this.#wasOpen = true
      this.#hear()
      socket.send(JSON.stringify(hello))
    })
    socket.addEventListener('message', ({ data }) => this.#receive(String(data)))
    socket.addEventListener('close', ({ code, reason }) => this.#finish(code, reason))
    // `close` follows, in browsers and in ws alike.
    socket.addEventListener('error', () => undefined)
    this.#hear()
    signal?.addEventListener('abort', () => this.close(), { once: true })
    if (signal?.aborted) this.close()
  }

  /** How the connection ended; read it when the iteration is over. */
  get end(): SocketEnd {
    return this.#end ?? { code: 1006, reason: '', wasOpen: this.#wasOpen }
  }

  send(frame: object): void {
    if (this.#socket.readyState === open) this.#socket.send(JSON.stringify(frame))
  }

  close(): void {
    this.#finish(1000, 'client')
    this.#socket.close(1000)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Frame, void> {
    try {
      for (;;) {
        const frame = this.#waiting.shift()
        if (frame !== undefined) {
          if (this.#waiting.length === 0) this.#socket.resume?.()
          yield frame
        } else if (this.#end) return
        else
          await new Promise<void>(resolve => {
            this.#wake = resolve
          })
      }
    } finally {
      if (!this.#end) this.close()
    }
  }

  #receive(text: string): void {
    this.#hear()
    if (this.#end) return
    this.#waiting.push(JSON.parse(text) as Frame)
    if (this.#waiting.length > waitingMax) this.#socket.pause?.()
    this.#wake()
  }

  #hear(): void {
    clearTimeout(this.#silence)
    if (!this.#end) this.#silence = setTimeout(() => this.#lose(), this.#silenceMs)
  }

  #lose(): void {
    this.#finish(1006, 'silence')
    this.#socket.close()
  }

  #finish(code: number, reason: string): void {
    clearTimeout(this.#silence)
    this.#end ??= { code, reason, wasOpen: this.#wasOpen }
    this.#wake()
  }
}
