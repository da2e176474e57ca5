import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'

/** A call that went through, in milliseconds of performance.now(); `endedAt` is absent while it is under way. */
export interface ProxiedCall {
  path: string
  startedAt: number
  endedAt?: number
}

/** Stands between hackd and an engine, remembers what was asked, and can stop answering. */
export class EngineProxy {
  readonly calls: ProxiedCall[] = []
  readonly #server: Server
  readonly #target: string
  readonly #held: (() => void)[] = []
  #hanging = false

  constructor(target: string) {
    this.#target = target
    this.#server = createServer((incoming, outgoing) => this.#take(incoming, outgoing))
  }

  listen(path: string): Promise<void> {
    return new Promise(resolve => this.#server.listen(path, resolve))
  }

  /** Listens on a free port of loopback, and returns it. */
  async listenTcp(): Promise<number> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    return typeof address === 'object' && address ? address.port : 0
  }

  lists(): ProxiedCall[] {
    return this.calls.filter(({ path }) => path.startsWith('/containers/json'))
  }

  /** From now on connections are taken and nothing is answered. */
  hang(): void {
    this.#hanging = true
  }

  /** Answers again, also what was asked meanwhile. */
  resume(): void {
    this.#hanging = false
    for (const answer of this.#held.splice(0)) answer()
  }

  close(): Promise<unknown> {
    this.#server.closeAllConnections()
    return new Promise(resolve => this.#server.close(resolve))
  }

  #take(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const call: ProxiedCall = { path: incoming.url ?? '', startedAt: performance.now() }
    this.calls.push(call)
    outgoing.on('close', () => {
      call.endedAt = performance.now()
    })
    if (this.#hanging) this.#held.push(() => this.#forward(incoming, outgoing))
    else this.#forward(incoming, outgoing)
  }

  #forward(incoming: IncomingMessage, outgoing: ServerResponse): void {
    if (outgoing.destroyed) return
    const { method, url: path, headers } = incoming
    const onward = request({ socketPath: this.#target, method, path, headers, agent: false }, answer => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      outgoing.flushHeaders()
      answer.on('data', (chunk: Buffer) => {
        const more = () => (this.#hanging ? this.#held.push(more) : outgoing.write(chunk))
        more()
      })
      answer.on('end', () => outgoing.end()).on('error', () => outgoing.destroy())
    })
    onward.on('error', () => outgoing.destroy())
    outgoing.on('close', () => onward.destroy())
    incoming.pipe(onward)
  }
}
