import { type FSWatcher, statSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'

/** How long a burst of events settles before the files are looked at again. */
const defaultSettleMs = 20
/** How often they are looked at without an event: file systems that send none, and folders that cannot be watched now. */
const safetyMs = 5000
const unwatchedMs = 1000

/**
 * Calls `changed` whenever a file that is replaced by rename, or one of several in a folder, may have changed. The
 * folder is watched, since the file's own inode changes; an event means "look again", and a slow re-check covers file
 * systems that send none, as well as a folder that goes away and comes back.
 *
 * Create it before reading the files: then no change falls between the two.
 */
export class WatchedFile {
  readonly #folder: string
  readonly #names: string[]
  readonly #changed: () => void
  readonly #settleMs: number
  #watcher: FSWatcher | undefined
  #watchedFolder = ''
  #safety: NodeJS.Timeout | undefined
  #settle: NodeJS.Timeout | undefined
  #seen: string

  /**
   * @param path one file, or several of one folder
   * @param settleMs 0 for a file that is only ever replaced whole, and must be followed at once
   */
  constructor(path: string | [string, ...string[]], changed: () => void, settleMs = defaultSettleMs) {
    const paths: [string, ...string[]] = typeof path === 'string' ? [path] : path
    this.#folder = dirname(paths[0])
    this.#names = paths.map(name => basename(name))
    this.#changed = changed
    this.#settleMs = settleMs
    this.#watch()
    this.#seen = this.#stamp()
    this.#armSafety()
  }

  #watch(): void {
    const folder = stampOf(this.#folder, 'identity')
    if (this.#watcher && folder === this.#watchedFolder) return
    this.#stopWatching()
    if (folder === 'none') return
    try {
      const watcher = watch(this.#folder, { persistent: false }, (_event, name) => this.#hear(name))
      watcher.on('error', () => this.#stopWatching())
      this.#watcher = watcher
      this.#watchedFolder = folder
    } catch {
      // No watches left (inotify(7), max_user_watches): the re-check alone carries on, more slowly.
    }
  }

  /** A folder that is removed or renamed announces itself by its own name. */
  #hear(name: string | null): void {
    if (name !== null && !this.#names.includes(name) && name !== basename(this.#folder)) return
    // Not pushed back by further events: a file that never rests is still followed.
    this.#settle ??= setTimeout(() => {
      this.#settle = undefined
      this.#lookAgain()
    }, this.#settleMs).unref()
  }

  #armSafety(): void {
    this.#safety = setTimeout(
      () => {
        this.#armSafety()
        this.#lookAgain()
      },
      this.#watcher ? safetyMs : unwatchedMs,
    ).unref()
  }

  #lookAgain(): void {
    this.#watch()
    const stamp = this.#stamp()
    if (stamp === this.#seen) return
    this.#seen = stamp
    this.#changed()
  }

  #stamp(): string {
    const files = this.#names.map(name => stampOf(`${this.#folder}/${name}`, 'content'))
    return [stampOf(this.#folder, 'identity'), ...files].join()
  }

  #stopWatching(): void {
    this.#watcher?.close()
    this.#watcher = undefined
  }

  close(): void {
    this.#stopWatching()
    clearTimeout(this.#safety)
    clearTimeout(this.#settle)
  }
}

/** What tells one file, or one state of it, from another; 'none' when there is nothing that can be looked at. */
function stampOf(path: string, what: 'identity' | 'content'): string {
  try {
    const stat = statSync(path, { bigint: true })
    return what === 'identity' ? `${stat.dev}:${stat.ino}` : `${stat.ino}:${stat.ctimeNs}:${stat.size}`
  } catch {
    return 'none'
  }
}
