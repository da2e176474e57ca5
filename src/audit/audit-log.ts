import type { FileHandle } from 'node:fs/promises'
import type { AuditPage, AuditQuery } from '../../schemas/audit.js'
import { GatewayError } from '../errors.js'
import { openLines } from '../storage/jsonl.js'
import { AuditBatch, type Settle } from './audit-batch.js'
import { chainEnd, listAuditFiles, rotate } from './audit-files.js'
import { type AuditRecord, auditText } from './audit-line.js'
import { findEntries } from './audit-search.js'
import { RefusalSums } from './refusal-sums.js'

/** How long a line that nobody waits for may stay in memory, and how many bytes of them make it worth writing at once. */
const lazyMs = 100
const lazyBytes = 256 * 1024
const roomBytes = 320 * 1024
/** While the disk is gone or stuck, this much is kept for its return; beyond it only the number of lines. */
const keptLines = 10_000
const keptBytes = 8 * 2 ** 20
const retryMs = 1000

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
  #file: FileHandle | undefined
  #size = 0
  /** Lines for the next write. There is none while the end of the chain is not known: before the first, and after a failure. */
  #batch: AuditBatch | undefined
  #writing: AuditBatch | undefined
  /** Lines without a chain to join. */
  #unchained: { text: string; settle?: Settle | undefined }[] = []
  #room: Buffer[] = [Buffer.allocUnsafe(roomBytes), Buffer.allocUnsafe(roomBytes)]
  #lost = 0
  #isFailing = false
  #timer: NodeJS.Timeout | undefined
  #draining: Promise<void> | undefined

  constructor(path: string, limits: () => AuditLimits, report: (problem: string) => void) {
    this.#path = path
    this.#limits = limits
    this.#report = report
  }

  /** Adds a line, soon. */
  record(record: AuditRecord): void {
    if (this.#unchained.length >= keptLines || (this.#batch?.size ?? 0) >= keptBytes) this.#lost++
    else this.#add(auditText(record))
    if ((this.#batch?.size ?? 0) >= lazyBytes) this.#drain()
    else this.#drainIn(this.#isFailing ? retryMs : lazyMs)
  }

  /** Adds a line and resolves when it is on disk. @throws GatewayError `audit_unavailable`: then it will never be there. */
  async persist(record: AuditRecord): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#add(auditText(record), error => (error ? reject(error) : resolve()))
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
    await this.#drain()
  }

  #add(text: string, settle?: Settle): void {
    if (this.#batch) this.#batch.add(text, settle)
    else this.#unchained.push({ text, settle })
  }

  #drainIn(ms: number): void {
    this.#timer ??= setTimeout(() => this.#drain(), ms).unref()
  }

  #drain(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#hasLines) this.#draining ??= this.#writeAll()
    return this.#draining ?? Promise.resolve()
  }

  get #hasLines(): boolean {
    return this.#unchained.length > 0 || (this.#batch?.size ?? 0) > 0
  }

  /** Ends in the same tick in which it finds nothing left, so that no line can come too late for it and too early for the next. */
  async #writeAll(): Promise<void> {
    do {
      try {
        await this.#write()
      } catch (error) {
        await this.#fail(error as Error)
        break
      }
    } while (this.#hasLines)
    this.#draining = undefined
  }

  async #write(): Promise<void> {
    const batch = await this.#open()
    if (this.#lost > 0) batch.add(lossText(this.#lost))
    this.#lost = 0
    this.#writing = batch
    this.#batch = new AuditBatch(batch.prev, this.#room.pop() ?? Buffer.allocUnsafe(roomBytes))
    const file = await this.#makeRoom(batch.size)
    await writeFully(file, batch.content)
    if (batch.waiters.length > 0) await file.datasync()
    this.#size += batch.size
    this.#writing = undefined
    if (batch.room.length === roomBytes) this.#room.push(batch.room)
    for (const { settle } of batch.waiters) settle()
    if (this.#isFailing) this.#report(`${this.#path} can be written again`)
    this.#isFailing = false
  }

  /**
   * Opens the file at its end, a torn last line ended and chained, and gives the lines that waited their place. A log
   * that was removed meanwhile is begun anew before the next intent, its chain going on.
   */
  async #open(): Promise<AuditBatch> {
    const isAwaited = (this.#batch?.waiters.length ?? 0) > 0
    if (this.#file && isAwaited && (await this.#file.stat()).nlink === 0) {
      await this.#file.close()
      this.#file = undefined
    }
    if (!this.#file) {
      this.#file = await openLines(this.#path)
      this.#size = (await this.#file.stat()).size
    }
    this.#batch ??= new AuditBatch(await chainEnd(this.#path), Buffer.allocUnsafe(roomBytes))
    for (const { text, settle } of this.#unchained.splice(0)) this.#batch.add(text, settle)
    return this.#batch
  }

  async #makeRoom(bytes: number): Promise<FileHandle> {
    const { maxBytes, maxFiles } = this.#limits()
    if (this.#file && (this.#size === 0 || this.#size + bytes <= maxBytes)) return this.#file
    await this.#file?.datasync()
    await rotate(this.#path, maxFiles)
    await this.#file?.close()
    this.#file = undefined
    this.#file = await openLines(this.#path)
    this.#size = 0
    return this.#file
  }

  /** Takes the failed write back: what was waited for is refused and will never be there, the rest waits for the disk. */
  async #fail(error: Error): Promise<void> {
    if (!this.#isFailing) this.#report(`${this.#path} cannot be written, writes are refused: ${error.message}`)
    this.#isFailing = true
    await this.#file?.truncate(this.#size).catch(() => undefined)
    await this.#file?.close().catch(() => undefined)
    this.#file = undefined
    const batches = [this.#writing, this.#batch].filter(batch => batch !== undefined)
    const settles = [...batches.flatMap(({ waiters }) => waiters), ...this.#unchained].map(({ settle }) => settle)
    const kept = batches.flatMap(batch => batch.unchained()).map(text => ({ text }))
    this.#unchained = [...kept, ...this.#unchained.filter(({ settle }) => !settle)]
    this.#writing = undefined
    this.#batch = undefined
    for (const settle of settles) settle?.(error)
    this.#drainIn(retryMs)
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
