import { link, readFile, unlink } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import { systemCode } from '../errors.js'
import { isAlive, type ProcessIdentity, selfIdentity } from '../processes/identity.js'
import { parseLine } from './jsonl.js'
import { writePrivate } from './private-file.js'

const OwnerLine = Type.Object({ pid: Type.Integer(), startTime: Type.String() })

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
      if (await tryLink(temporary, path)) return { release: () => unlink(path) }
      const owner = await readOwner(path)
      if (!owner) continue
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
  return owner && isAlive(owner) ? owner : undefined
}

async function tryLink(temporary: string, path: string): Promise<boolean> {
  try {
    await link(temporary, path)
    return true
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
    return false
  }
}

const nobody: ProcessIdentity = { pid: 0, startTime: '' }

/** Undefined when there is no such file. A file that names no process is nobody's. */
async function readOwner(path: string): Promise<ProcessIdentity | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
  return parseLine(text, OwnerLine) ?? nobody
}

/**
 * Only the holder of the lock's own lock removes it, and looks again first. What it then finds stale stays so until it
 * is removed; what it finds gone may be taken afresh at any moment, and is left alone.
 */
async function removeStale(path: string, waitMs: number): Promise<void> {
  const guard = await takeLock(`${path}.stale`, waitMs)
  try {
    const owner = await readOwner(path)
    if (owner && !isAlive(owner)) await unlink(path)
  } finally {
    await guard.release()
  }
}
