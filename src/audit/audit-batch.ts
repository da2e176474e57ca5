import { chainHash, chainStart } from './audit-line.js'

/** What is told to whoever waits for a line: undefined when it is on disk. */
export type Settle = (error?: Error) => void

/** What `chain` adds to a text: its link, and a newline. */
const linkLength = `,"prev":"${chainStart}"}\n`.length

/**
 * Lines on their way to the file, chained as they come. They are kept as bytes, not as thousands of strings that the
 * garbage collector would have to carry from one flush to the next. Texts are ASCII: a character is a byte.
 */
export class AuditBatch {
  readonly waiters: { line: number; settle: Settle }[] = []
  #bytes: Buffer
  #used = 0
  #lines = 0
  #prev: string

  /** `bytes` is room to begin with; it grows. */
  constructor(prev: string, bytes: Buffer) {
    this.#prev = prev
    this.#bytes = bytes
  }

  /** What the line after these has to bear. */
  get prev(): string {
    return this.#prev
  }

  get size(): number {
    return this.#used
  }

  get content(): Buffer {
    return this.#bytes.subarray(0, this.#used)
  }

  /** The room, for the next batch to use when this one is written. */
  get room(): Buffer {
    return this.#bytes
  }

  add(text: string, settle?: Settle): void {
    if (settle) this.waiters.push({ line: this.#lines, settle })
    const end = this.#used + text.length + linkLength
    if (end > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], 2 * end)
    this.#bytes.write(`${text},"prev":"${this.#prev}"}\n`, this.#used, 'latin1')
    this.#prev = chainHash(this.#bytes.subarray(this.#used, end - 1))
    this.#used = end
    this.#lines++
  }

  /** The texts of the lines that nobody waits for, to be chained again elsewhere. */
  unchained(): string[] {
    const awaited = new Set(this.waiters.map(({ line }) => line))
    const lines = this.content.toString('latin1').split('\n').slice(0, -1)
    return lines.filter((_, line) => !awaited.has(line)).map(line => line.slice(0, 1 - linkLength))
  }
}
