import { access, constants, stat } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'

/**
 * The file that execvp(3) would execute for `name`, or undefined. Looked up before anything is spawned, so that a
 * command that does not exist is a clear `spawn_error` and not a shell's exit status 127.
 */
export async function findProgram(name: string, path: string | undefined, cwd: string): Promise<string | undefined> {
  if (name === '') return undefined
  const candidates = name.includes('/')
    ? [resolve(cwd, name)]
    : (path ?? '/usr/local/bin:/usr/bin:/bin').split(delimiter).map(folder => join(resolve(cwd, folder), name))
  for (const candidate of candidates) if (await isExecutable(candidate)) return candidate
  return undefined
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}
