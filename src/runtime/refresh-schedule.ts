/** Lists are at least this far apart, so that a storm of events costs at most 4 a second. */
const spacingMs = 250
/**
 * An engine announces an end before its own lists show it, by some milliseconds or, under load, by more. So an event is given a
 * moment, and what was seen after it is looked at again, twice.
 */
const settleMs = 30
const confirmMs = [spacingMs, 2000]
/** Without any event or question. */
const safetyMs = 60_000

/** Says when the next list begins: soon after something changed, never too soon after the last, and never two at a time. */
export class RefreshSchedule {
  readonly #refresh: () => Promise<number | undefined>
  #timer: NodeJS.Timeout | undefined
  /** When the timer fires, and before when no list may begin; both as of performance.now(). */
  #due = Number.POSITIVE_INFINITY
  #notBefore = 0
  #refreshing = false
  #wanted = false
  /** When to look again after the next lists, in milliseconds. */
  #confirmations: number[] = []
  #closed = false

  /** @param refresh never rejects; resolves with how long it has to be left alone after a failure, in milliseconds */
  constructor(refresh: () => Promise<number | undefined>) {
    this.#refresh = refresh
  }

  /** Something may have changed just now. */
  changed(): void {
    this.#confirmations = [...confirmMs]
    this.want(settleMs)
  }

  /** Sees to it that a list begins within `delayMs`, or as soon after as spacing and back-off allow. */
  want(delayMs: number): void {
    if (this.#closed) return
    if (this.#refreshing) {
      this.#wanted = true
      return
    }
    const due = Math.max(performance.now() + delayMs, this.#notBefore)
    if (due >= this.#due) return
    clearTimeout(this.#timer)
    this.#due = due
    this.#timer = setTimeout(() => void this.#turn(), due - performance.now())
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  async #turn(): Promise<void> {
    this.#due = Number.POSITIVE_INFINITY
    this.#refreshing = true
    this.#wanted = false
    this.#notBefore = performance.now() + spacingMs
    const pauseMs = await this.#refresh()
    this.#refreshing = false
    if (pauseMs !== undefined) {
      this.#notBefore = performance.now() + pauseMs
      this.#wanted = true
    }
    this.want(this.#wanted ? settleMs : (this.#confirmations.shift() ?? safetyMs))
  }
}
