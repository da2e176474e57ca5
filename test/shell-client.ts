import { once } from 'node:events'
import { WebSocket } from 'ws'
import type { ShellClientFrame, ShellFrame } from '../schemas/shells.js'
import { eventually } from './eventually.js'
import { ClientTerminal } from './shells/terminal.js'

export interface ShellClientOptions {
  token?: string
  /** Shows the output on a terminal, which answers what programs ask it. */
  terminal?: { cols: number; rows: number }
}

type FrameOf<T extends ShellFrame['type']> = Extract<ShellFrame, { type: T }>

/** A client of a shell's stream, as plain as can be. */
export class ShellClient {
  readonly socket: WebSocket
  readonly frames: ShellFrame[] = []
  readonly closed: Promise<{ code: number; reason: string }>
  readonly #terminal: ClientTerminal | undefined
  #shown: Promise<void> = Promise.resolve()
  #text = ''
  #read = 0

  constructor(url: string, { token, terminal }: ShellClientOptions) {
    this.#terminal = terminal && new ClientTerminal(terminal.cols, terminal.rows)
    this.socket = new WebSocket(url, { headers: { authorization: `Bearer ${token}` } })
    this.socket.on('message', data => this.#receive(JSON.parse(String(data))))
    this.closed = new Promise((resolve, reject) => {
      this.socket.once('close', (code, reason) => resolve({ code, reason: String(reason) }))
      this.socket.on('error', reject)
    })
    this.closed.catch(() => undefined)
  }

  #receive(frame: ShellFrame): void {
    this.frames.push(frame)
    const terminal = this.#terminal
    if (!terminal || frame.type !== 'output') return
    this.#shown = this.#shown.then(async () => {
      await terminal.write(frame.data)
      if (terminal.answers !== '') this.socket.send(Buffer.from(terminal.answers))
      terminal.answers = ''
    })
  }

  async open(): Promise<this> {
    if (this.socket.readyState === WebSocket.CONNECTING) await once(this.socket, 'open')
    return this
  }

  async hello(fields: { cols?: number; rows?: number; from?: number } = {}): Promise<this> {
    await this.open()
    return this.send({ type: 'hello', ...fields })
  }

  send(frame: ShellClientFrame | { type: string; [field: string]: unknown }): this {
    this.socket.send(JSON.stringify(frame))
    return this
  }

  type(data: string): this {
    return this.send({ type: 'input', data })
  }

  /** The first frame of a type, when it is there. */
  async frame<T extends ShellFrame['type']>(type: T): Promise<FrameOf<T>> {
    const find = () => this.frames.find((frame): frame is FrameOf<T> => frame.type === type)
    await eventually(`a ${type} frame`, () => find() !== undefined)
    return find() as FrameOf<T>
  }

  of<T extends ShellFrame['type']>(type: T): FrameOf<T>[] {
    return this.frames.filter((frame): frame is FrameOf<T> => frame.type === type)
  }

  /** All output since it last began: it begins again where a hello came too late, or named another place. */
  get text(): string {
    for (; this.#read < this.frames.length; this.#read++) {
      const frame = this.frames[this.#read]
      if (frame?.type === 'ready') this.#text = ''
      if (frame?.type === 'output') this.#text += frame.data
    }
    return this.#text
  }

  /** The offset after the last byte that arrived. */
  get offset(): number {
    return this.frames.findLast(frame => frame.type === 'output' || frame.type === 'ready')?.offset ?? 0
  }

  has(text: string): Promise<void> {
    return eventually(`the output has ${JSON.stringify(text)}`, () => this.text.includes(text), 30_000)
  }

  /** The terminal as it is when all that has arrived is drawn. */
  async #screen(): Promise<ClientTerminal> {
    if (!this.#terminal) throw new Error('this client has no terminal')
    await this.#shown
    return this.#terminal
  }

  async lines(): Promise<string[]> {
    return (await this.#screen()).lines
  }

  async picture(): Promise<object> {
    return (await this.#screen()).picture
  }

  resize(cols: number, rows: number): this {
    this.#terminal?.resize(cols, rows)
    return this.send({ type: 'resize', cols, rows })
  }

  async shows(what: string | RegExp): Promise<void> {
    const matches = (line: string) => (typeof what === 'string' ? line.includes(what) : what.test(line))
    let last: string[] = []
    const look = async () => {
      last = await this.lines()
      return last.some(matches)
    }
    await eventually(`the screen shows ${what}`, look, 30_000).catch(error => {
      throw new Error(`${error.message}\n${last.join('\n')}`)
    })
  }
}
