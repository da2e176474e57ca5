import { type FSWatcher, statSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'

/** How long a burst of events settles before the file is looked at again, and how often it is looked at without one. */
const defaultSettleMs = 20
const safetyMs = 5000

/**
 * Calls `changed` whenever a file that is replaced by rename may have changed. The folder is watched, since the file's
 * own inode changes; an event means "look again", and a slow re-check covers file systems that send none.
 */
export class WatchedFile {
  readonly #path: string
  readonly #changed: () => void
  readonly #watcher: FSWatcher | undefined
  readonly #safety: NodeJS.Timeout
  readonly #settleMs: number
  #settle: NodeJS.Timeout | undefined
  #seen: string

  /** `settleMs` is 0 for a file that is only ever replaced whole, and must be followed at once. */
  constructor(path: string, changed: () => void, settleMs = defaultSettleMs) {
    this.#path = path
    this.#changed = changed
    this.#settleMs = settleMs
    this.#seen = this.#stamp()
    this.#watcher = this.#watch()
    this.#safety = setInterval(() => this.#lookAgain(), safetyMs).unref()
  }

  #watch(): FSWatcher | undefined {
    try {
      const watcher = watch(dirname(this.#path), { persistent: false }, (_event, name) => {
        if (name === null || name === basename(this.#path)) this.#arm()
      })
      watcher.on('error', () => watcher.close())
      return watcher
    } catch {
      // No watches left (inotify(7), max_user_watches): the re-check alone carries on, more slowly.
      return undefined
    }
  }

  #arm(): void {
    clearTimeout(this.#settle)
    this.#settle = setTimeout(() => this.#lookAgain(), this.#settleMs)
  }

  #lookAgain(): void {
    const stamp = this.#stamp()
    if (stamp === this.#seen) return
    this.#seen = stamp
    this.#changed()
  }

  #stamp(): string {
    const stat = statSync(this.#path, { bigint: true, throwIfNoEntry: false })
    return stat ? `${stat.ino}:${stat.mtimeNs}:${stat.size}` : 'none'
  }

  close(): void {
    this.#watcher?.close()
    clearInterval(this.#safety)
    clearTimeout(this.#settle)
  }
}
