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
    // Watched before it is read: what is written in between is seen.
    this.#file = new WatchedFile(path, () => this.#load(), 0)
    this.#load()
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
      this.#tokens = readLiveTokens(this.#path)
    } catch (error) {
      this.#complain((error as Error).message)
      return
    }
    this.#reported = ''
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

/** Every token that is not revoked, by id. No file, no tokens. @throws DamagedFile */
function readLiveTokens(path: string): Map<string, LiveToken> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return new Map()
    throw error
  }
  const live = parseTokenFile(path, text).tokens.filter(record => record.revokedAt === undefined)
  return new Map(live.map(record => [record.id, { record, expiresMs: expiryOf(record) }]))
}

function expiryOf(record: TokenRecord): number {
  return record.expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(record.expiresAt)
}
