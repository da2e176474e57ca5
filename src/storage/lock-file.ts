import { link, readFile, unlink } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { isAlive, type ProcessIdentity, selfIdentity } from '../processes/identity.js'
import { writePrivate } from './private-file.js'

/** Somebody alive holds the lock, and kept it for longer than we were ready to wait. */
export class LockHeld extends Error {
  readonly owner: ProcessIdentity
  constructor(path: string, owner: ProcessIdentity) {
    super(`${path} is held by process ${owner.pid}`)
    this.owner = owner
  }
}

export interface Lock {
  release(): Promise<void>
}

let serial = 0

/**
 * Takes a lock file. Its content is the owner's pid and start time, so that a file left behind by a crash,
 * even one whose pid has been recycled, never blocks. link(2) makes taking it atomic and the content whole.
 * @throws LockHeld after `waitMs` milliseconds.
 */
export async function takeLock(path: string, waitMs: number): Promise<Lock> {
  const temporary = `${path}.${process.pid}.${serial++}`
  try {
    await writePrivate(temporary, JSON.stringify(selfIdentity()))
    const deadline = performance.now() + waitMs
    for (;;) {
      const owner = await tryLink(temporary, path)
      if (!owner) return { release: () => unlink(path) }
      if (!isAlive(owner)) await removeStale(path, waitMs)
      else if (performance.now() >= deadline) throw new LockHeld(path, owner)
      else await delay(2 + Math.random() * 8)
    }
  } finally {
    await unlink(temporary).catch(() => undefined)
  }
}

/** Who holds the lock now; undefined when nobody alive does. */
export async function lockOwner(path: string): Promise<ProcessIdentity | undefined> {
  const owner = await readOwner(path)
  return isAlive(owner) ? owner : undefined
}

/** Undefined when we got it, the present owner otherwise. */
async function tryLink(temporary: string, path: string): Promise<ProcessIdentity | undefined> {
  try {
    await link(temporary, path)
    return undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return readOwner(path)
  }
}

async function readOwner(path: string): Promise<ProcessIdentity> {
  try {
    const owner: unknown = JSON.parse(await readFile(path, 'utf8'))
    if (typeof owner === 'object' && owner && 'pid' in owner && 'startTime' in owner) return owner as ProcessIdentity
  } catch {
    // Gone meanwhile, or not ours: nobody alive.
  }
  return { pid: 0, startTime: '' }
}

/** Only the holder of the lock's own lock removes it, and looks again first: a fresh lock is never taken for a stale one. */
async function removeStale(path: string, waitMs: number): Promise<void> {
  const guard = await takeLock(`${path}.stale`, waitMs)
  try {
    if (!isAlive(await readOwner(path))) await unlink(path).catch(() => undefined)
  } finally {
    await guard.release()
  }
}
