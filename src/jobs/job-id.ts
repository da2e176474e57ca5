import { randomBytes } from 'node:crypto'

const pattern = /^[A-Za-z0-9-]{1,64}$/

/** True for what may be a job's id, and so a folder's name. */
export function isJobId(text: string): boolean {
  return pattern.test(text)
}

/**
 * Makes ids that sort in the order they were made, also when the clock goes back: 9 base-36 digits of milliseconds,
 * 4 of a counter, 12 hex digits of randomness.
 */
export class JobIds {
  #time = 0
  #count = 0

  /** Ids made from now on sort after `id`. */
  seen(id: string): void {
    const [, time, count] = /^([0-9a-z]{9})-([0-9a-z]{4})-/.exec(id)?.map(digits => Number.parseInt(digits, 36)) ?? []
    if (time === undefined || count === undefined || time < this.#time) return
    this.#count = time > this.#time ? count : Math.max(count, this.#count)
    this.#time = time
  }

  next(): string {
    const now = Date.now()
    if (now > this.#time) {
      this.#time = now
      this.#count = 0
    } else if (++this.#count >= 36 ** 4) {
      this.#time++
      this.#count = 0
    }
    const time = this.#time.toString(36).padStart(9, '0')
    return `${time}-${this.#count.toString(36).padStart(4, '0')}-${randomBytes(6).toString('hex')}`
  }
}
