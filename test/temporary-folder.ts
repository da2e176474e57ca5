import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Whatever runs what was added to it when it is over: a test, or a benchmark. */
export interface Cleanup {
  after(step: () => unknown): void
}

/** A new folder that goes away with the test; its path holds no symlink. */
export function temporaryFolder(t: Cleanup): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'hackd-')))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
