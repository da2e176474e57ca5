import { chunkBytes, type Output, type OutputChunk } from './output.js'
import type { Snapshot } from './screen.js'

/** How much a viewer that acknowledges is sent beyond what it acknowledged. */
export const ackWindowBytes = 128 * 1024

export interface ShellExit {
  readonly type: 'exit'
  /** null when a signal ended the shell. */
  readonly exitCode: number | null
  readonly signal: string | null
}

export type ShellEvent =
  | OutputChunk
  | ShellExit
  | { readonly type: 'gap'; readonly from: number; readonly oldest: number }

/** The shell as its viewers see it. */
export interface ViewedShell {
  readonly output: Output
  readonly exit: ShellExit | undefined
  snapshot(): Promise<Snapshot>
  /** A viewer took something: the shell may go on. */
  moved(viewer: Viewer): void
  left(viewer: Viewer): void
}

/**
 * One reader of a shell, at its own pace: it holds a place in the output, and takes what comes there when it is asked
 * for. Nothing is buffered for it but the rest of a screen.
 */
export class Viewer implements AsyncIterable<ShellEvent> {
  /** Resolves when it has taken the exit or was closed. */
  readonly done: Promise<void>
  readonly #shell: ViewedShell
  /** Output before `#edge` was there when this viewer came; of that it had all before `#from`. */
  readonly #from: number
  readonly #edge: number
  #position: number
  #screen: Buffer | undefined
  #limit = Number.POSITIVE_INFINITY
  #wake: (() => void) | undefined
  #closed = false
  #leave = () => {}

  /** Begins at byte `from` of the output, or behind a screen. */
  constructor(shell: ViewedShell, begin: number | Snapshot) {
    this.#shell = shell
    this.#from = typeof begin === 'number' ? begin : begin.offset
    this.#edge = typeof begin === 'number' ? shell.output.end : begin.offset
    this.#position = this.#from
    this.#screen = typeof begin === 'number' ? undefined : begin.bytes
    this.done = new Promise(resolve => {
      this.#leave = resolve
    })
  }

  /** The next byte of the output that it will take. */
  get position(): number {
    return this.#position
  }

  /** Says that the client has dealt with the output before `offset`; from the first time on, this paces the stream. */
  acknowledge(offset: number): void {
    const acknowledged = Math.min(offset, this.#position)
    const before = Number.isFinite(this.#limit) ? this.#limit : 0
    this.#limit = Math.max(before, acknowledged + ackWindowBytes)
    this.notify()
  }

  /** There may be something to take. */
  notify(): void {
    this.#wake?.()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.notify()
    this.#shell.left(this)
    this.#leave()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ShellEvent, void> {
    try {
      for (;;) {
        if (this.#closed) return
        const event = this.#takeScreen() ?? this.#takeGap() ?? this.#takeOutput() ?? this.#takeExit()
        if (event === undefined) await new Promise<void>(wake => (this.#wake = wake))
        else yield event
        if (event?.type === 'gap') await this.#resync()
        if (event?.type === 'exit') return
      }
    } finally {
      this.close()
    }
  }

  #takeScreen(): ShellEvent | undefined {
    if (this.#screen === undefined) return undefined
    const bytes = this.#screen.subarray(0, cutAt(this.#screen))
    const rest = this.#screen.subarray(bytes.length)
    this.#screen = rest.length > 0 ? rest : undefined
    return { type: 'output', bytes, offset: this.#position, replay: true }
  }

  #takeGap(): ShellEvent | undefined {
    const { output } = this.#shell
    const kept = this.#position < this.#edge ? this.#position >= output.oldest : output.has(this.#position)
    if (kept) return undefined
    return { type: 'gap', from: this.#position, oldest: output.oldest }
  }

  async #resync(): Promise<void> {
    const { offset, bytes } = await this.#shell.snapshot()
    this.#position = offset
    this.#screen = bytes
    this.#shell.moved(this)
  }

  #takeOutput(): ShellEvent | undefined {
    const { output } = this.#shell
    const chunk =
      this.#position < this.#edge
        ? output.replay(this.#position, this.#limit, this.#from, this.#edge)
        : output.live(this.#position, this.#limit)
    if (chunk === undefined) return undefined
    this.#position = chunk.offset
    this.#shell.moved(this)
    return chunk
  }

  #takeExit(): ShellEvent | undefined {
    return this.#position >= this.#shell.output.end ? this.#shell.exit : undefined
  }
}

/** Where to cut a screen, which is valid UTF-8: never inside a character. */
function cutAt(screen: Buffer): number {
  let at = chunkBytes
  while (at < screen.length && ((screen[at] ?? 0) & 0xc0) === 0x80) at--
  return Math.min(at, screen.length)
}
