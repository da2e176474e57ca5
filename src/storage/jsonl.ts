import { type FileHandle, readFile } from 'node:fs/promises'
import type { Static, TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { systemCode } from '../errors.js'
import { openPrivate } from './private-file.js'

export interface Lines<T> {
  records: T[]
  /** Lines that were not records: torn by a crash or damaged since. They are skipped, never repaired in place. */
  damaged: number
}

/** All records of a JSON Lines file; a missing file has none. Damage costs only the damaged lines. */
export async function readLines<T extends TSchema>(path: string, schema: T): Promise<Lines<Static<T>>> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return { records: [], damaged: 0 }
    throw error
  }
  return parseLines(text, schema)
}

export function parseLines<T extends TSchema>(text: string, schema: T): Lines<Static<T>> {
  const lines: Lines<Static<T>> = { records: [], damaged: 0 }
  for (const line of text.split('\n')) {
    if (line === '') continue
    const record = parseLine(line, schema)
    if (record === undefined) lines.damaged++
    else lines.records.push(record)
  }
  return lines
}

export function parseLine<T extends TSchema>(line: string, schema: T): Static<T> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return Value.Check(schema, value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Opens a JSON Lines file for appending. A torn last line is ended first, so that it can never swallow the next record. */
export async function openLines(path: string): Promise<FileHandle> {
  const file = await openPrivate(path, 'a+')
  try {
    const { size } = await file.stat()
    if (size > 0) {
      const last = Buffer.alloc(1)
      await file.read(last, 0, 1, size - 1)
      if (last[0] !== 0x0a) await file.appendFile('\n')
    }
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}
