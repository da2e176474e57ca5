import { mkdirSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

/** Files are 0600 and folders 0700, whatever the umask: the mode is set on the open file, not left to open(2). */
export const fileMode = 0o600
export const folderMode = 0o700

/** Creates or truncates a private file, writes it whole and, with `sync`, waits for the disk. */
export async function writePrivate(path: string, data: string | Uint8Array, sync = false): Promise<void> {
  const file = await openPrivate(path, 'w')
  try {
    await file.writeFile(data)
    if (sync) await file.sync()
  } finally {
    await file.close()
  }
}

/** Writes a file that must not exist yet, not even as a symlink, with exactly this mode, and waits for the disk. */
export async function writeNew(path: string, data: string | Uint8Array, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode)
  try {
    await file.chmod(mode)
    await file.writeFile(data)
    await file.sync()
  } finally {
    await file.close()
  }
}

export async function openPrivate(path: string, flags: 'a' | 'w' | 'wx' | 'a+'): Promise<FileHandle> {
  const file = await open(path, flags, fileMode)
  try {
    await file.chmod(fileMode)
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Creates a folder and its missing parents, private ones. Synchronous, because the umask is the whole process's. */
export function makePrivateFolder(path: string): void {
  const previous = process.umask(0o077)
  try {
    mkdirSync(path, { recursive: true, mode: folderMode })
  } finally {
    process.umask(previous)
  }
}
