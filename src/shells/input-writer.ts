import { writeSync } from 'node:fs'
import { systemCode } from '../errors.js'

/** How much input may wait for a program that does not read before its sender has to wait too. */
export const inputCapacity = 2 ** 20

const turnBytes = 64 * 1024
const firstPauseMs = 1
const longestPauseMs = 32

/**
 * Writes input to a terminal's master, in order and whole. The descriptor is non-blocking and every write is made and
 * finished within one turn, so that none can be under way when the descriptor is closed and its number given to another
 * terminal.
 */
export class InputWriter {
  readonly #fd: number
  readonly #queue: Buffer[] = []
  readonly #waiting: (() => void)[] = []
  #pending = 0
  #pauseMs = firstPauseMs
  #retry: NodeJS.Timeout | undefined
  #closed = false

  constructor(fd: number) {
    this.#fd = fd
  }

  /** Bytes that were accepted and that the terminal has not taken yet. */
  get pending(): number {
    return this.#pending
  }

  /** Accepts all of `bytes`; resolves when the sender may go on. Bytes for a closed terminal go nowhere. */
  async write(bytes: Buffer): Promise<void> {
    if (this.#closed || bytes.length === 0) return
    this.#queue.push(bytes)
    this.#pending += bytes.length
    if (this.#retry === undefined) this.#flush()
    if (this.#pending > inputCapacity && !this.#closed) await new Promise<void>(go => this.#waiting.push(go))
  }

  #flush(): void {
    this.#retry = undefined
    for (let room = turnBytes; room > 0; ) {
      const head = this.#queue[0]
      if (head === undefined) break
      const written = this.#tryWrite(head.subarray(0, room))
      if (written === undefined) {
        this.#later()
        return
      }
      this.#pauseMs = firstPauseMs
      this.#pending -= written
      room -= written
      if (written < head.length) this.#queue[0] = head.subarray(written)
      else this.#queue.shift()
    }
    if (this.#pending <= inputCapacity) this.#release()
    if (this.#queue.length > 0) this.#retry = setTimeout(() => this.#flush(), 0)
  }

  /** How many bytes the terminal took; undefined when it takes none now. */
  #tryWrite(bytes: Buffer): number | undefined {
    try {
      return writeSync(this.#fd, bytes)
    } catch (error) {
      if (systemCode(error) === 'EAGAIN') return undefined
      // EIO: the terminal is gone, and with it whoever would have read this.
      return bytes.length
    }
  }

  #later(): void {
    this.#retry = setTimeout(() => this.#flush(), this.#pauseMs)
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs)
  }

  #release(): void {
    for (const go of this.#waiting.splice(0)) go()
  }

  /** From here on the descriptor is not touched. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#retry)
    this.#queue.length = 0
    this.#pending = 0
    this.#release()
  }
}
