import { createRequire } from 'node:module'
import type xterm from '@xterm/headless'
import { drawCells, placeCursor } from './picture.js'
import type { Scrollback } from './scrollback.js'
import { TerminalModes } from './terminal-modes.js'

/** Loaded with the first shell: it would be a tenth of hackd's start. */
const require = createRequire(import.meta.url)

/** Lines above the screen that a snapshot brings along. */
const historyLines = 500
/** How often the emulator takes a slice of what it was not shown yet, and how much of it. */
const restMs = 40
const sliceBytes = 64 * 1024
/** Beyond this the emulator does not catch up byte by byte (about 30 MB/s): it is shown the modes and the tail. */
const backlogBytes = 512 * 1024
const tailBytes = 192 * 1024
const scanBytes = 256 * 1024

const cancel = '\x18'
const reset = '\x1bc'

export interface Snapshot {
  /** The output that follows on the snapshot begins here. */
  offset: number
  /** What brings any terminal to this screen: a full reset, the cells, the modes. It asks the terminal nothing. */
  bytes: Buffer
  /** A full-screen program runs, and the emulator was not shown all that it drew. */
  incomplete: boolean
}

/**
 * The screen that a terminal would show, kept by an emulator that follows the scrollback in its own time: in slices in
 * the background, or at once when a snapshot is asked for. A flood outruns it; of what it was not shown, a light scan
 * keeps the modes.
 */
export class Screen {
  readonly #scrollback: Scrollback
  readonly #modes = new TerminalModes()
  readonly #terminal: xterm.Terminal
  #resizes: { offset: number; cols: number; rows: number }[] = []
  /** The output up to here was handed to the emulator, which takes what it is handed in order. */
  #position = 0
  #complete = true
  #rest: NodeJS.Timeout | undefined
  #endAtRest = 0

  constructor(scrollback: Scrollback, cols: number, rows: number) {
    this.#scrollback = scrollback
    const { Terminal } = require('@xterm/headless') as typeof xterm
    this.#terminal = new Terminal({ cols, rows, scrollback: historyLines, allowProposedApi: true })
  }

  /** Call it before output, at most a quarter of the scrollback, is appended: it may push unseen bytes out. */
  makeRoom(bytes: number): void {
    if (this.#scrollback.end + bytes - this.#scrollback.capacity > this.#position) this.#skip()
  }

  /** Call it after output was appended. */
  follow(): void {
    this.#rest ??= setTimeout(() => this.#catchUp(), restMs).unref()
  }

  /** The terminal has another size from the present end of the output on. */
  resize(cols: number, rows: number): void {
    this.#resizes.push({ offset: this.#scrollback.end, cols, rows })
  }

  /** The program was made to draw its whole screen again. */
  redrawn(): void {
    this.#complete = true
  }

  async snapshot(): Promise<Snapshot> {
    if (this.#scrollback.end - this.#position > backlogBytes) this.#skip()
    this.#feed(this.#scrollback.end)
    const offset = this.#position
    const { sequences: frame, top } = this.#modes.frame()
    const modes = this.#modes.others()
    const complete = this.#complete
    return new Promise(resolve => {
      this.#terminal.write('', () => {
        const cells = drawCells(this.#terminal)
        // Titles were read as Latin-1, byte by byte.
        const after = Buffer.from(modes, 'latin1')
        const bytes = Buffer.concat([Buffer.from(reset + cells + frame + placeCursor(this.#terminal, top)), after])
        resolve({ offset, bytes, incomplete: !complete && this.#terminal.buffer.active.type === 'alternate' })
      })
    })
  }

  #catchUp(): void {
    this.#rest = undefined
    const { end } = this.#scrollback
    // While more comes than a slice at a time, following it would only cost the flood.
    const pouring = end - this.#endAtRest > sliceBytes
    this.#endAtRest = end
    if (!pouring && end - this.#position > backlogBytes) this.#skip()
    if (!pouring) this.#feed(this.#position + sliceBytes)
    if (this.#position < end) this.follow()
  }

  #feed(target: number): void {
    const to = Math.min(target, this.#scrollback.end)
    this.#applyResizes()
    while (this.#position < to) {
      const seam = this.#resizes[0]?.offset ?? to
      const bytes = this.#scrollback.read(this.#position, Math.min(to, seam, this.#position + sliceBytes))
      this.#modes.scan(bytes)
      this.#terminal.write(bytes)
      this.#position += bytes.length
      this.#applyResizes()
    }
  }

  #applyResizes(): void {
    for (let next = this.#resizes[0]; next && next.offset <= this.#position; next = this.#resizes[0]) {
      const { cols, rows } = next
      this.#terminal.write('', () => this.#terminal.resize(cols, rows))
      this.#modes.resized()
      this.#resizes.shift()
    }
  }

  /** Leaves out all but the tail: the emulator is brought into the modes that hold there. */
  #skip(): void {
    const target = Math.max(
      this.#scrollback.end - Math.min(tailBytes, Math.floor(this.#scrollback.capacity / 2)),
      this.#position,
    )
    while (this.#position < target) {
      const bytes = this.#scrollback.read(this.#position, Math.min(target, this.#position + scanBytes))
      this.#modes.scan(bytes)
      this.#position += bytes.length
    }
    this.#position += wholeFrom(this.#scrollback.read(target, target + 4096))
    this.#terminal.write(cancel)
    this.#applyResizes()
    this.#terminal.write(this.#modes.all())
    this.#complete = false
  }

  close(): void {
    clearTimeout(this.#rest)
    this.#terminal.dispose()
  }
}

/** Where in `bytes` surely no character and no control sequence is cut: after a line, or where a sequence begins. */
function wholeFrom(bytes: Buffer): number {
  const line = bytes.indexOf(0x0a) + 1
  const sequence = bytes.indexOf(0x1b)
  const places = [line, sequence].filter(place => place > 0)
  return places.length === 0 ? 0 : Math.min(...places)
}
