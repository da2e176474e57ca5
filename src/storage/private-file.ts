import { mkdirSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

/** Files are 0600 and folders 0700, whatever the umask. */
export const fileMode = 0o600
export const folderMode = 0o700

/**
 * True where open(2) alone would give another mode: the umask takes rights of the owner away. Others get none anyway.
 * Asked once: each chmod is a trip to the thread pool, and small files are many.
 */
const umaskInterferes = (process.umask() & 0o700) !== 0

/** Creates or truncates a private file, writes it whole and, with `sync`, waits for the disk. */
export async function writePrivate(path: string, data: string | Uint8Array, sync = false): Promise<void> {
  const file = await open(path, 'w', fileMode)
  try {
    if (umaskInterferes) await file.chmod(fileMode)
    if (data.length > 0) await file.writeFile(data)
    if (sync) await file.sync()
  } finally {
    await file.close()
  }
}

/** Writes a file that must not exist yet, not even as a symlink, with exactly this mode, and waits for the disk. */
export async function writeNew(path: string, data: string | Uint8Array, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode)
  try {
    if (umaskInterferes || mode !== fileMode) await file.chmod(mode)
    await file.writeFile(data)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Opens a file that may have been there before, and may have been loose. */
export async function openPrivate(path: string, flags: 'a' | 'a+'): Promise<FileHandle> {
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
