import { type FSWatcher, watch } from 'node:fs'

/**
 * Calls `changed` when one file, whose inode stays, may have grown. Events coalesce, so one means "look again";
 * a slow re-check covers file systems that send none and a machine that is out of watches (inotify(7)).
 */
export class FileChanges {
  readonly #watcher: FSWatcher | undefined
  readonly #safety: NodeJS.Timeout

  constructor(path: string, changed: () => void, safetyMs = 2000) {
    this.#watcher = startWatch(path, changed)
    this.#safety = setInterval(changed, safetyMs).unref()
  }

  close(): void {
    this.#watcher?.close()
    clearInterval(this.#safety)
  }
}

function startWatch(path: string, changed: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(path, { persistent: false }, changed)
    watcher.on('error', () => watcher.close())
    return watcher
  } catch {
    return undefined
  }
}
