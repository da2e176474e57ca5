import { hash, randomBytes } from 'node:crypto'
import argon2 from 'argon2'
import type { TokenRecord } from '../../schemas/auth.js'
import { GatewayError } from '../errors.js'
import { isTagged, parseToken, type TokenParts, tokenLength } from './token-format.js'
import type { TokenStore } from './token-store.js'

/** argon2 runs on libuv's pool, which the file system shares: more than two at a time would starve it. */
const parallelRuns = 2
const longestQueue = 64

interface Match {
  id: string
  /** The record's hash that the secret matched. A rotated token has another one. */
  generation: string
}

/** Says whose token this is. Garbage costs one HMAC, a token seen before one SHA-256, a new one an argon2 run. */
export class Verifier {
  readonly #homeKey: Buffer
  readonly #tokens: TokenStore
  readonly #verify: (phc: string, secret: string) => Promise<boolean>
  /** Makes the cache useless to whoever gets to read this process's memory in part. */
  readonly #cacheKey = randomBytes(32).toString('base64')
  readonly #matches = new Map<string, Match>()
  readonly #running = new Map<string, Promise<TokenRecord | undefined>>()
  readonly #waiting: (() => void)[] = []
  readonly #stop: () => void
  #runs = 0

  /** `verify` is argon2's, except where a test counts its runs. */
  constructor(
    homeKey: Buffer,
    tokens: TokenStore,
    verify: (phc: string, secret: string) => Promise<boolean> = argon2.verify,
  ) {
    this.#homeKey = homeKey
    this.#tokens = tokens
    this.#verify = verify
    this.#stop = tokens.onChange(() => this.#forget())
  }

  /**
   * The live record of a token, or undefined when it is unknown, wrong, revoked or expired. A promise is returned only
   * when the token has to be verified first.
   */
  check(token: string): TokenRecord | undefined | Promise<TokenRecord | undefined> {
    if (token.length !== tokenLength) return undefined
    const digest = hash('sha256', this.#cacheKey + token, 'base64')
    const match = this.#matches.get(digest)
    if (match) return this.#live(match)
    const parts = parseToken(token)
    if (!parts || !isTagged(this.#homeKey, parts)) return undefined
    return this.#running.get(digest) ?? this.#verifyOnce(digest, parts)
  }

  #live({ id, generation }: Match): TokenRecord | undefined {
    const record = this.#tokens.usable(id)
    return record?.hash === generation ? record : undefined
  }

  #verifyOnce(digest: string, { id, secret }: TokenParts): Promise<TokenRecord | undefined> | undefined {
    const record = this.#tokens.usable(id)
    if (!record) return undefined
    const match = { id, generation: record.hash }
    const running = this.#bounded(() => this.#verify(record.hash, secret))
      .then(matches => {
        if (!matches) return undefined
        this.#matches.set(digest, match)
        return this.#live(match)
      })
      .finally(() => this.#running.delete(digest))
    this.#running.set(digest, running)
    return running
  }

  async #bounded<T>(run: () => Promise<T>): Promise<T> {
    if (this.#runs >= parallelRuns) {
      if (this.#waiting.length >= longestQueue)
        throw new GatewayError('rate_limited', 'Too many new tokens at once. Try again in a second.', {
          headers: { 'retry-after': '1' },
        })
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    } else this.#runs++
    try {
      return await run()
    } finally {
      // The place is handed on, not given up, so that nobody slips in between.
      const next = this.#waiting.shift()
      if (next) next()
      else this.#runs--
    }
  }

  #forget(): void {
    for (const [digest, match] of this.#matches) if (!this.#live(match)) this.#matches.delete(digest)
  }

  close(): void {
    this.#stop()
    this.#matches.clear()
  }
}
