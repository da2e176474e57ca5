import { closeSync, constants, fstatSync, openSync, readSync, realpathSync, statSync } from 'node:fs'
import { join, sep } from 'node:path'
import { systemCode } from '../errors.js'

/** The folder inside a repository that makes it a project. What a repository holds is data from strangers. */
export const projectDirName = '.hack'

/** True while the project's folder is there, and is part of its repository. */
export function isPresent(repoRoot: string): boolean {
  try {
    const folder = realpathSync(join(repoRoot, projectDirName))
    return isInside(realpathSync(repoRoot), folder) && statSync(folder).isDirectory()
  } catch {
    return false
  }
}

export function isInside(root: string, path: string): boolean {
  return path.startsWith(root.endsWith(sep) ? root : root + sep)
}

/**
 * The text of a regular file below `root`, or undefined when there is none. A symlink may lead elsewhere in the
 * repository, never out of it; O_NONBLOCK keeps a planted FIFO from holding the daemon.
 */
export function readInside(root: string, path: string, limit: number): string | undefined {
  let real: string
  try {
    real = realpathSync(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw error
  }
  if (!isInside(realpathSync(root), real)) throw new Error('is a link that leads out of the repository')
  const file = openSync(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    if (!fstatSync(file).isFile()) throw new Error('is not a regular file')
    return readBounded(file, limit)
  } finally {
    closeSync(file)
  }
}

function readBounded(file: number, limit: number): string {
  const buffer = Buffer.allocUnsafe(limit + 1)
  let length = 0
  for (let read = -1; read !== 0 && length <= limit; length += read)
    read = readSync(file, buffer, length, buffer.length - length, null)
  if (length > limit) throw new Error(`is larger than ${limit} bytes`)
  return buffer.toString('utf8', 0, length)
}
