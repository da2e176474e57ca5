import { constants, type FileHandle, open } from 'node:fs/promises'
import { FileChanges } from '../storage/file-changes.js'

/** The most bytes of a log that one chunk holds. */
export const chunkBytes = 64 * 1024

/**
 * One job's combined.log, shared by all that read it: one descriptor, one watcher while the job lives, and the last
 * chunk, so that followers at the same place cost one read and, since they get the same Buffer, one encoding.
 */
export class LogFollower {
  readonly #path: string
  readonly #changed: () => void
  #users = 0
  #file: Promise<FileHandle> | undefined
  #watcher: FileChanges | undefined
  #last: { offset: number; chunk: Promise<Buffer> } | undefined

  constructor(path: string, changed: () => void) {
    this.#path = path
    this.#changed = changed
  }

  /** Every reader takes the follower once, and releases it. */
  take(): void {
    this.#users++
  }

  async release(): Promise<void> {
    if (--this.#users > 0) return
    const file = this.#file
    this.#file = undefined
    this.#last = undefined
    this.unwatch()
    await (await file?.catch(() => undefined))?.close()
  }

  /** Begins to call `changed` when the log may have grown. */
  watch(): void {
    this.#watcher ??= new FileChanges(this.#path, () => {
      this.forget()
      this.#changed()
    })
  }

  unwatch(): void {
    this.#watcher?.close()
    this.#watcher = undefined
  }

  /** The next read goes to the file: the last chunk may have been short of what is there now. */
  forget(): void {
    this.#last = undefined
  }

  /** Bytes now in the file. */
  async size(): Promise<number> {
    return (await (await this.#open()).stat()).size
  }

  /** At most `chunkBytes` bytes from `offset`, none at the end. */
  async read(offset: number): Promise<Buffer> {
    const last = this.#last
    if (last?.offset === offset) return last.chunk
    const chunk = this.readNow(offset)
    this.#last = { offset, chunk }
    try {
      const bytes = await chunk
      if (bytes.length > 0) return bytes
    } catch (error) {
      if (this.#last?.chunk === chunk) this.forget()
      throw error
    }
    // An empty chunk is true for a moment only.
    if (this.#last?.chunk === chunk) this.forget()
    return chunk
  }

  /** The same, and never a read that began earlier. */
  async readNow(offset: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(chunkBytes)
    const { bytesRead } = await (await this.#open()).read(buffer, 0, chunkBytes, offset)
    // A short chunk is copied, so that a slow follower holds on to its bytes only.
    return bytesRead < chunkBytes / 2 ? Buffer.from(buffer.subarray(0, bytesRead)) : buffer.subarray(0, bytesRead)
  }

  /** Neither a symlink is followed nor a FIFO waited for: history folders are a stranger's data. */
  #open(): Promise<FileHandle> {
    if (this.#file) return this.#file
    const file = open(this.#path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    this.#file = file
    // A failure is one for now: out of descriptors, perhaps.
    file.catch(() => {
      if (this.#file === file) this.#file = undefined
    })
    return file
  }
}
