import { Scrollback } from './scrollback.js'
import { silenceQueries } from './terminal-queries.js'
import { unfinishedTail } from './utf8.js'

/**
 * A piece of output that can be decoded as UTF-8 on its own. Viewers at the same place get the same object. `bytes` may be
 * where the scrollback keeps them: use them at once.
 */
export interface OutputChunk {
  readonly type: 'output'
  readonly bytes: Buffer
  /** The offset after `bytes`. */
  readonly offset: number
  /** It was there before the viewer came, or stands for what was. */
  readonly replay: boolean
}

export const chunkBytes = 64 * 1024
/** How much output is also kept as it came, for viewers that are slightly behind the newest. */
const recentBytes = 2 ** 20
const recentChunks = 256
/** A viewer that is behind gets a recent chunk as it is when it is at least this long; shorter ones are merged. */
const worthyBytes = 16 * 1024
/** A query that is longer than this is no query that any terminal answers. */
const contextBytes = 4096

/** All that a shell printed, as far as it is kept, cut where no character is cut. */
export class Output {
  readonly scrollback: Scrollback
  #recent: OutputChunk[] = []
  #recentLength = 0
  /** How much there is of a character whose rest has not come. */
  #held = 0

  constructor(capacity: number) {
    this.scrollback = new Scrollback(capacity)
  }

  get oldest(): number {
    return Math.min(this.scrollback.oldest, this.end)
  }

  /** Where the next chunk begins. */
  get end(): number {
    return this.scrollback.end - this.#held
  }

  /** `bytes` are copied. */
  append(bytes: Buffer): void {
    const start = this.end
    this.scrollback.append(bytes)
    this.#held = unfinishedTail(this.scrollback.read(Math.max(start, this.scrollback.end - 3), this.scrollback.end))
    this.#remember(start)
  }

  /** No more comes: what was held back is let go. */
  finish(): void {
    const start = this.end
    this.#held = 0
    this.#remember(start)
  }

  #remember(start: number): void {
    if (this.end <= start) return
    // A large scrollback keeps them for longer than they are recent.
    const isKept = this.scrollback.capacity >= 2 * recentBytes
    const bytes = isKept ? this.scrollback.view(start, this.end) : this.scrollback.read(start, this.end)
    this.#recent.push({ type: 'output', bytes, offset: this.end, replay: false })
    this.#recentLength += bytes.length
    while (this.#recentLength > recentBytes || this.#recent.length > recentChunks)
      this.#recentLength -= this.#recent.shift()?.bytes.length ?? 0
  }

  /** Viewers need nothing before `position` any more. */
  passed(position: number): void {
    const kept = this.#recent.findIndex(chunk => chunk.offset > position)
    const gone = kept < 0 ? this.#recent.splice(0) : this.#recent.splice(0, kept)
    for (const chunk of gone) this.#recentLength -= chunk.bytes.length
  }

  /** True when a viewer at `position` can still be given what comes there. */
  has(position: number): boolean {
    return position >= this.scrollback.oldest || this.#recent.some(chunk => start(chunk) === position)
  }

  /** What comes at `position`, up to `limit`; undefined when nothing does yet. */
  live(position: number, limit: number): OutputChunk | undefined {
    if (position >= this.end) return undefined
    const same = this.#recent.findLast(chunk => start(chunk) === position)
    const last = this.#recent.at(-1)
    if (same && same.offset <= limit && (same === last || same.bytes.length >= worthyBytes)) return same
    if (position < this.scrollback.oldest) return same
    const next = this.#recent.find(chunk => start(chunk) > position && chunk.bytes.length >= worthyBytes)
    const to = Math.min(limit, position + chunkBytes, this.end, next ? start(next) : this.end)
    return this.#cut(position, to, this.scrollback.read(position, to), false)
  }

  /**
   * What was there at `position` before `edge`, when the viewer came, which had all before `from` already. Queries in it
   * are silenced.
   */
  replay(position: number, limit: number, from: number, edge: number): OutputChunk | undefined {
    const to = Math.min(limit, position + chunkBytes, edge)
    const begin = Math.max(position - contextBytes, this.scrollback.oldest)
    const around = silenceQueries(this.scrollback.read(begin, to + contextBytes), from - begin)
    return this.#cut(position, to, around.subarray(position - begin, to - begin), true)
  }

  #cut(position: number, to: number, bytes: Buffer, replay: boolean): OutputChunk | undefined {
    const tail = to < this.end ? unfinishedTail(bytes) : 0
    const whole = bytes.subarray(0, bytes.length - tail)
    if (whole.length === 0) return undefined
    return { type: 'output', bytes: whole, offset: position + whole.length, replay }
  }
}

function start(chunk: OutputChunk): number {
  return chunk.offset - chunk.bytes.length
}
