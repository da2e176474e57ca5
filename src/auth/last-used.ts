import { type Static, Type } from '@sinclair/typebox'
import { Timestamp } from '../../schemas/common.js'
import { readJson, replaceJson } from '../storage/atomic-file.js'

/** last-used.json: when each token id last passed the door. */
const LastUsedFile = Type.Record(Type.String(), Timestamp)
type LastUsedFile = Static<typeof LastUsedFile>

/** Readers see a use this much later at most; a crash loses as much. */
const delayMs = 5000

/** When tokens were last used: a damaged or missing file reads as never. */
export async function readLastUsed(path: string): Promise<LastUsedFile> {
  return (await readJson(path, LastUsedFile).catch(() => undefined)) ?? {}
}

/** Remembers uses in memory and writes them, together, a few seconds later: never on the path of a request. */
export class LastUsed {
  readonly #path: string
  readonly #report: (problem: string) => void
  #fresh = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(path: string, report: (problem: string) => void) {
    this.#path = path
    this.#report = report
  }

  mark(tokenId: string): void {
    this.#fresh.set(tokenId, Date.now())
    this.#timer ??= setTimeout(() => this.#flush(), delayMs).unref()
  }

  #flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  async #write(): Promise<void> {
    const uses = [...this.#fresh].map(([id, at]) => [id, new Date(at).toISOString()])
    this.#fresh = new Map()
    if (uses.length === 0) return
    try {
      await replaceJson(this.#path, { ...(await readLastUsed(this.#path)), ...Object.fromEntries(uses) })
    } catch (error) {
      this.#report(`${this.#path}: ${(error as Error).message}`)
    }
  }

  async close(): Promise<void> {
    await this.#flush()
  }
}
