import type { AuditRecord } from './audit-line.js'

const minuteMs = 60_000
/** More addresses than this are written early rather than kept. */
const mostAddresses = 1000

/** Sums up 429s: a flood of refusals must not become a flood of lines. One line per address and minute. */
export class RefusalSums {
  readonly #record: (record: AuditRecord) => void
  #sums = new Map<string, { first: AuditRecord; count: number }>()
  #timer: NodeJS.Timeout | undefined

  constructor(record: (record: AuditRecord) => void) {
    this.#record = record
  }

  add(record: AuditRecord): void {
    const sum = this.#sums.get(record.remoteAddress)
    if (sum) sum.count++
    else this.#sums.set(record.remoteAddress, { first: record, count: 1 })
    if (this.#sums.size > mostAddresses) this.#write()
    else this.#timer ??= setTimeout(() => this.#write(), minuteMs).unref()
  }

  #write(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const sums = this.#sums
    this.#sums = new Map()
    for (const { first, count } of sums.values()) this.#record({ ...first, count })
  }

  close(): void {
    this.#write()
  }
}
