import { randomBytes } from 'node:crypto'
import { link, readFile, unlink } from 'node:fs/promises'
import { systemCode } from '../errors.js'
import { DamagedFile } from '../storage/atomic-file.js'
import { writePrivate } from '../storage/private-file.js'

const keyBytes = 32

/**
 * The 32 bytes that tag every token of this home, created by whoever comes first, daemon or CLI. link(2) makes the file
 * appear whole and exactly once.
 * @throws DamagedFile when the file does not hold 32 bytes.
 */
export async function loadHomeKey(path: string): Promise<Buffer> {
  const key = await readFile(path).catch(async error => {
    if (systemCode(error) !== 'ENOENT') throw error
    await createKey(path)
    return readFile(path)
  })
  if (key.length === keyBytes) return key
  throw new DamagedFile(
    path,
    `it must hold ${keyBytes} bytes. Restore it, or remove it together with tokens.json and create new tokens`,
  )
}

async function createKey(path: string): Promise<void> {
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`
  try {
    await writePrivate(temporary, randomBytes(keyBytes), true)
    await link(temporary, path)
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
  } finally {
    await unlink(temporary).catch(() => undefined)
  }
}
