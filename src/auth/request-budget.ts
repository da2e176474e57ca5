import type { LiveConfig } from '../config.js'

const minuteMs = 60_000

/** How many requests each token may still make in its present minute. On the path of every request: it counts, no more. */
export class RequestBudget {
  readonly #config: LiveConfig
  readonly #minutes = new Map<string, { endsMs: number; count: number }>()

  constructor(config: LiveConfig) {
    this.#config = config
  }

  /** Counts one request. @returns 0, or the seconds to wait when the minute is used up. */
  spend(tokenId: string): number {
    const now = Date.now()
    const minute = this.#minutes.get(tokenId)
    if (!minute || now >= minute.endsMs) {
      this.#minutes.set(tokenId, { endsMs: now + minuteMs, count: 1 })
      return 0
    }
    if (++minute.count <= this.#config.current.gateway.rateLimit.perMinute) return 0
    return Math.ceil((minute.endsMs - now) / 1000)
  }
}
