import type { FileHandle } from 'node:fs/promises'
import type { AuditPage, AuditQuery } from '../../schemas/audit.js'
import { GatewayError } from '../errors.js'
import { openLines } from '../storage/jsonl.js'
import { chainEnd, listAuditFiles, rotate } from './audit-files.js'
import { type AuditRecord, auditText, chain, chainStart } from './audit-line.js'
import { findEntries } from './audit-search.js'
import { RefusalSums } from './refusal-sums.js'

/** How long a line that nobody waits for may stay in memory, and how many of them make it worth writing at once. */
const lazyMs = 100
const batchLines = 1024
/** While the disk is gone, this many lines are kept for its return; beyond them only their number. */
const keptLines = 10_000
const retryMs = 1000

interface Pending {
  text: string
  /** Present when somebody waits for the line to be on disk. */
  settle?: (error?: Error) => void
}

export interface AuditLimits {
  maxBytes: number
  maxFiles: number
}

/**
 * The audit log: JSON lines, each bearing the hash of the one before. Lines that somebody waits for are synced, and all
 * that arrive during one sync share the next. There is one writer, hackd; hackd.pid sees to that.
 */
export class AuditLog {
  readonly #path: string
  readonly #limits: () => AuditLimits
  readonly #report: (problem: string) => void
  readonly #refusals = new RefusalSums(record => this.record(record))
  #pending: Pending[] = []
  #lost = 0
  #failing = false
  #file: FileHandle | undefined
  #size = 0
  #prev = chainStart
  #timer: NodeJS.Timeout | undefined
  #draining: Promise<void> | undefined

  constructor(path: string, limits: () => AuditLimits, report: (problem: string) => void) {
    this.#path = path
    this.#limits = limits
    this.#report = report
  }

  /** Adds a line, soon. */
  record(record: AuditRecord): void {
    if (this.#failing && this.#pending.length >= keptLines) this.#lost++
    else this.#pending.push({ text: auditText(record) })
    if (this.#pending.length >= batchLines && !this.#failing) this.#drain()
    else this.#timer ??= setTimeout(() => this.#drain(), this.#failing ? retryMs : lazyMs).unref()
  }

  /** Adds a line and resolves when it is on disk. @throws GatewayError `audit_unavailable`: then it will never be there. */
  async persist(record: AuditRecord): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#pending.push({ text: auditText(record), settle: error => (error ? reject(error) : resolve()) })
      this.#drain()
    }).catch(error => {
      throw new GatewayError('audit_unavailable', undefined, { cause: error })
    })
  }

  /** Counts a refusal for the line that sums up this address's minute. */
  sumRefusal(record: AuditRecord): void {
    this.#refusals.add(record)
  }

  /** The newest entries first, only one token's where `tokenId` is given. */
  async search(query: AuditQuery, tokenId?: string): Promise<AuditPage> {
    await this.flush()
    return findEntries(listAuditFiles(this.#path), query, tokenId)
  }

  /** Resolves when what was recorded so far is written, or cannot be. */
  async flush(): Promise<void> {
    while (this.#draining) await this.#draining
    if (this.#pending.length > 0) await this.#drain()
  }

  #drain(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#pending.length > 0) this.#draining ??= this.#writeAll()
    return this.#draining ?? Promise.resolve()
  }

  /** Ends in the same tick in which it finds nothing left, so that no line can come too late for it and too early for the next. */
  async #writeAll(): Promise<void> {
    do {
      const batch = this.#pending.splice(0, batchLines)
      const error = await this.#write(batch).then(
        () => undefined,
        (failure: Error) => failure,
      )
      if (error) {
        await this.#giveBack(batch, error)
        break
      }
      for (const { settle } of batch) settle?.()
      if (this.#failing) this.#report(`${this.#path} can be written again`)
      this.#failing = false
    } while (this.#pending.length > 0)
    this.#draining = undefined
  }

  /** After a failure nothing of the batch is on disk: what was waited for is refused, the rest waits for the disk. */
  async #giveBack(batch: Pending[], error: Error): Promise<void> {
    if (!this.#failing) this.#report(`${this.#path} cannot be written, writes are refused: ${error.message}`)
    this.#failing = true
    await this.#file?.truncate(this.#size).catch(() => undefined)
    await this.#file?.close().catch(() => undefined)
    this.#file = undefined
    const waiting = [...batch, ...this.#pending]
    this.#pending = waiting.filter(({ settle }) => !settle)
    for (const { settle } of waiting) settle?.(error)
    this.#timer ??= setTimeout(() => this.#drain(), retryMs).unref()
  }

  async #write(batch: Pending[]): Promise<void> {
    const isAwaited = batch.some(({ settle }) => settle)
    const file = await this.#open(isAwaited)
    const texts = batch.map(({ text }) => text)
    if (this.#lost > 0) texts.unshift(lossText(this.#lost))
    const { lines, prev } = chain(texts, this.#prev)
    const target = await this.#makeRoom(file, lines.length)
    await writeFully(target, lines)
    if (isAwaited) await target.datasync()
    this.#size += lines.length
    this.#prev = prev
    this.#lost = 0
  }

  /** The file at its end, a torn last line ended and chained. A log that was removed meanwhile is begun anew, its chain going on. */
  async #open(isAwaited: boolean): Promise<FileHandle> {
    const goesOn = this.#file !== undefined
    if (this.#file && (!isAwaited || (await this.#file.stat()).nlink > 0)) return this.#file
    await this.#file?.close()
    this.#file = await openLines(this.#path)
    this.#size = (await this.#file.stat()).size
    if (!goesOn) this.#prev = await chainEnd(this.#path)
    return this.#file
  }

  async #makeRoom(file: FileHandle, bytes: number): Promise<FileHandle> {
    const { maxBytes, maxFiles } = this.#limits()
    if (this.#size === 0 || this.#size + bytes <= maxBytes) return file
    await file.datasync()
    await rotate(this.#path, maxFiles)
    await file.close()
    this.#size = 0
    this.#file = await openLines(this.#path)
    return this.#file
  }

  async close(): Promise<void> {
    this.#refusals.close()
    await this.flush()
    clearTimeout(this.#timer)
    await this.#file?.close()
    this.#file = undefined
  }
}

async function writeFully(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done)).bytesWritten
}

function lossText(count: number): string {
  const record = { at: Date.now(), id: `lost-${Date.now()}`, phase: 'result', action: 'audit.lost', count } as const
  return auditText({ ...record, method: '-', path: '-', remoteAddress: '-' })
}
