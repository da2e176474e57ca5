import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { type Static, Type } from '@sinclair/typebox'
import { FileChanges } from '../storage/file-changes.js'
import { parseLine } from '../storage/jsonl.js'
import { isDeeperThan } from './json-depth.js'

/** A line that a job appends to $HACK_JOB_EVENTS. */
const OwnEvent = Type.Object({
  type: Type.String({ minLength: 1, maxLength: 100 }),
  payload: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
})
export type OwnEvent = Static<typeof OwnEvent>

const lineBytes = 64 * 1024
const eventsMax = 10_000
/** Of all lines together: they are kept in memory while the job runs. */
const totalBytes = 8 * 1024 * 1024
const depthMax = 32

/** True for a type that a job may use: those that begin with `job.` are hackd's. */
export function isOwnType(type: string): boolean {
  return !type.startsWith('job.')
}

/**
 * Reads what a job reports of itself. Which lines count depends on the file alone, so that after a restart
 * `skip` of them, those on record already, are passed over exactly. Bad lines, lines over 64 KiB, and
 * lines after the 10,000th event or past 8 MiB of them are passed over silently: they are the job's affair.
 */
export class OwnEvents {
  readonly #path: string
  readonly #deliver: (event: OwnEvent) => Promise<unknown>
  readonly #changes: FileChanges
  #skip: number
  #count = 0
  #bytes = 0
  #offset = 0
  #rest = Buffer.alloc(0)
  #overlong = false
  #reading: Promise<void> = Promise.resolve()

  constructor(path: string, skip: number, deliver: (event: OwnEvent) => Promise<unknown>) {
    this.#path = path
    this.#skip = skip
    this.#deliver = deliver
    this.#changes = new FileChanges(path, () => void this.read())
  }

  /** Delivers every whole line that is in the file by now. */
  read(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#readOn()).catch(() => undefined)
    return this.#reading
  }

  async #readOn(): Promise<void> {
    // Whatever the job puts in its place: no symlink is followed and no FIFO waited for.
    const file = await open(this.#path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const buffer = Buffer.allocUnsafe(lineBytes)
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, buffer.length, this.#offset)
        if (bytesRead === 0 || this.#isFull) return
        this.#offset += bytesRead
        await this.#take(Buffer.concat([this.#rest, buffer.subarray(0, bytesRead)]))
      }
    } finally {
      await file.close()
    }
  }

  async #take(bytes: Buffer): Promise<void> {
    let from = 0
    for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, from)) {
      if (!this.#overlong && end - from <= lineBytes) await this.#line(bytes.subarray(from, end))
      this.#overlong = false
      from = end + 1
    }
    this.#rest = Buffer.from(bytes.subarray(from))
    if (this.#rest.length <= lineBytes) return
    this.#overlong = true
    this.#rest = Buffer.alloc(0)
  }

  get #isFull(): boolean {
    return this.#count >= eventsMax || this.#bytes >= totalBytes
  }

  async #line(line: Buffer): Promise<void> {
    const event = parseLine(line.toString(), OwnEvent)
    if (!event || !isOwnType(event.type) || isDeeperThan(depthMax, event.payload) || this.#isFull) return
    this.#count++
    this.#bytes += line.length
    if (this.#skip > 0) this.#skip--
    else await this.#deliver(event)
  }

  close(): void {
    this.#changes.close()
  }
}
