import { constants } from 'node:fs'
import { access, realpath, stat } from 'node:fs/promises'
import { resolve, sep } from 'node:path'
import { GatewayError } from '../errors.js'

/**
 * Where a job or a shell begins: `cwd` as seen from the project's root, symlinks resolved.
 *
 * The answer holds no symlink, so what starts there enters by the path that was checked. A folder that is swapped for a
 * symlink between the check and the start can still lead elsewhere. That is accepted: whoever may do this runs as the same
 * user already, and what is started may `cd` wherever it likes. The rule catches mistakes; it is not a wall.
 *
 * @throws GatewayError `invalid_cwd` unless it is a folder inside the root that this user may enter.
 */
export async function resolveWorkingDirectory(repoRoot: string, cwd: string | undefined): Promise<string> {
  if (cwd?.includes('\0')) throw new GatewayError('invalid_cwd')
  try {
    const root = await realpath(repoRoot)
    const folder = await realpath(resolve(root, cwd ?? '.'))
    const inside = folder === root || folder.startsWith(root.endsWith(sep) ? root : root + sep)
    if (!inside || !(await stat(folder)).isDirectory()) throw new GatewayError('invalid_cwd')
    await access(folder, constants.X_OK)
    return folder
  } catch (error) {
    if (error instanceof GatewayError) throw error
    throw new GatewayError('invalid_cwd', undefined, { cause: error })
  }
}
