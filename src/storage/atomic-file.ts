import { randomBytes } from 'node:crypto'
import { open, readFile, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Static, TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { systemCode } from '../errors.js'
import { takeLock } from './lock-file.js'
import { fileMode, writeNew } from './private-file.js'

/** A file that is there but does not hold what it should. The file is left as it is. */
export class DamagedFile extends Error {
  readonly path: string
  constructor(path: string, what: string) {
    super(`${path}: ${what}`)
    this.path = path
  }
}

/** Replaces a file so that a reader, or a crash, sees the old content or the new, never a part: rename(2). */
export async function replaceFile(path: string, data: string | Uint8Array, mode = fileMode): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    await writeNew(temporary, data, mode)
    await rename(temporary, path)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw error
  }
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

export function replaceJson(path: string, value: unknown): Promise<void> {
  return replaceFile(path, `${JSON.stringify(value, null, 2)}\n`)
}

/**
 * The checked content of a JSON file, or undefined when there is no such file.
 * @throws DamagedFile when it is not JSON or does not match the schema.
 */
export async function readJson<T extends TSchema>(path: string, schema: T): Promise<Static<T> | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
  return parseJson(path, text, schema)
}

export function parseJson<T extends TSchema>(path: string, text: string, schema: T): Static<T> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new DamagedFile(path, `not JSON (${(error as Error).message})`)
  }
  if (Value.Check(schema, value)) return value
  const first = Value.Errors(schema, value).First()
  throw new DamagedFile(path, `${first?.path || 'the document'}: ${first?.message ?? 'does not match its schema'}`)
}

/** Reads, changes and replaces a JSON file under its lock, so that two processes never undo each other. */
export async function updateJson<T extends TSchema>(
  path: string,
  schema: T,
  empty: Static<T>,
  change: (current: Static<T>) => Static<T>,
): Promise<Static<T>> {
  const lock = await takeLock(`${path}.lock`, 5000)
  try {
    const next = change((await readJson(path, schema)) ?? empty)
    await replaceJson(path, next)
    return next
  } finally {
    await lock.release()
  }
}
