import { readFileSync } from 'node:fs'
import type { TokenRecord } from '../../schemas/auth.js'
import { systemCode } from '../errors.js'
import { WatchedFile } from '../storage/watched-file.js'
import { parseTokenFile } from './token-file.js'

/** setTimeout's own limit, and a bound on how late a change of the clock is noticed. */
const longestWaitMs = 60_000

interface LiveToken {
  record: TokenRecord
  expiresMs: number
}

/** tokens.json as it stands now. The daemon only ever reads it: the CLI writes, the daemon follows. */
export class TokenStore {
  readonly #path: string
  readonly #report: (problem: string) => void
  readonly #file: WatchedFile
  readonly #listeners = new Set<() => void>()
  #tokens = new Map<string, LiveToken>()
  #reported = ''
  #expiry: NodeJS.Timeout | undefined

  /** `report` hears once of each way in which the file is damaged; the last good content stays in force. */
  constructor(path: string, report: (problem: string) => void) {
    this.#path = path
    this.#report = report
    this.#load()
    this.#file = new WatchedFile(path, () => this.#load(), 0)
  }

  /** The record of a token that is neither revoked nor expired. Costs a map look-up: ask on every request. */
  usable(id: string): TokenRecord | undefined {
    const live = this.#tokens.get(id)
    return live && Date.now() < live.expiresMs ? live.record : undefined
  }

  /** Calls `listener` after tokens were added, changed, revoked or have expired; returns how to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #load(): void {
    try {
      const { tokens } = parseTokenFile(this.#path, readFileSync(this.#path, 'utf8'))
      const live = tokens.filter(record => record.revokedAt === undefined)
      this.#tokens = new Map(live.map(record => [record.id, { record, expiresMs: expiryOf(record) }]))
      this.#reported = ''
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') return this.#complain((error as Error).message)
      this.#tokens = new Map()
    }
    this.#announce()
  }

  #complain(problem: string): void {
    if (problem === this.#reported) return
    this.#reported = problem
    this.#report(
      this.#tokens.size > 0 ? `${problem}\nThe last good tokens stay in force.` : `${problem}\nNo token is accepted.`,
    )
  }

  #announce(): void {
    for (const listener of this.#listeners) listener()
    this.#awaitExpiry()
  }

  #awaitExpiry(): void {
    clearTimeout(this.#expiry)
    const now = Date.now()
    const next = Math.min(...[...this.#tokens.values()].map(live => live.expiresMs).filter(at => at > now))
    if (next === Number.POSITIVE_INFINITY) return
    const expired = () => (Date.now() < next ? this.#awaitExpiry() : this.#announce())
    this.#expiry = setTimeout(expired, Math.min(next - now, longestWaitMs)).unref()
  }

  close(): void {
    this.#file.close()
    clearTimeout(this.#expiry)
    this.#listeners.clear()
  }
}

function expiryOf(record: TokenRecord): number {
  return record.expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(record.expiresAt)
}
