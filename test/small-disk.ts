import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from './temporary-folder.js'

/** Whether this user may mount a file system: only then can a disk be full for one folder alone. */
export const cannotMount = ((): string | false => {
  const folder = temporaryFolder({ after: () => undefined })
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder])
  if (status === 0) execFileSync('umount', [folder])
  rmSync(folder, { recursive: true, force: true })
  return status === 0 ? false : 'only root can mount a small disk'
})()

export interface SmallDisk {
  /** Takes what is left, but for `spare` bytes. */
  fill(spare?: number): void
  free(): void
}

/** Runs `use` while `path` is a disk of its own, of so many KiB. */
export async function onSmallDisk(path: string, kib: number, use: (disk: SmallDisk) => Promise<void>): Promise<void> {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kib}k,mode=700`, 'tmpfs', path])
  const filler = join(path, '.filler')
  try {
    await use({
      fill(spare = 0) {
        const fd = openSync(filler, 'a')
        try {
          for (;;) writeSync(fd, Buffer.alloc(4096))
        } catch {
          // Full: that is the point.
        } finally {
          closeSync(fd)
        }
        if (spare > 0) execFileSync('truncate', ['-s', `-${spare}`, filler])
      },
      free: () => rmSync(filler, { force: true }),
    })
  } finally {
    // Whoever still holds a file of it, a watcher say, does not keep the test from cleaning up.
    execFileSync('umount', ['-l', path])
  }
}
