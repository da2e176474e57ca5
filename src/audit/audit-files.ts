import { readdirSync } from 'node:fs'
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { systemCode } from '../errors.js'
import { chainHash, chainStart } from './audit-line.js'

const blockBytes = 64 * 1024

/** `audit.1.jsonl` is the youngest of the rotated files. */
function rotatedPath(path: string, age: number): string {
  return path.replace(/\.jsonl$/, `.${age}.jsonl`)
}

/** The files of an audit log that exist, youngest first. */
export function listAuditFiles(path: string): string[] {
  const stem = basename(path, '.jsonl')
  const ages = readdirSync(dirname(path)).flatMap(name => {
    if (name === basename(path)) return [0]
    const age = name.startsWith(`${stem}.`) ? /^\.([1-9]\d*)\.jsonl$/.exec(name.slice(stem.length))?.[1] : undefined
    return age === undefined ? [] : [Number(age)]
  })
  return ages
    .sort((a, b) => a - b)
    .map(age => (age === 0 ? path : join(dirname(path), basename(rotatedPath(path, age)))))
}

/** Moves every file one step back; the oldest beyond `maxFiles`, the current one included, goes. */
export async function rotate(path: string, maxFiles: number): Promise<void> {
  for (const file of listAuditFiles(path).slice(Math.max(1, maxFiles - 1))) await rm(file, { force: true })
  if (maxFiles === 1) return rm(path, { force: true })
  for (let age = maxFiles - 1; age >= 1; age--) {
    const from = age === 1 ? path : rotatedPath(path, age - 1)
    await rename(from, rotatedPath(path, age)).catch(ignoreMissing)
  }
}

function ignoreMissing(error: unknown): void {
  if (systemCode(error) !== 'ENOENT') throw error
}

/** The lines of a file from its end to its beginning, without their newlines; empty ones are left out. */
export async function* linesBackwards(path: string): AsyncGenerator<Buffer> {
  const file = await open(path, 'r').catch(ignoreMissing)
  if (!file) return
  try {
    let end = (await file.stat()).size
    let rest: Buffer = Buffer.alloc(0)
    while (end > 0) {
      const start = Math.max(0, end - blockBytes)
      const block = Buffer.concat([await readBlock(file, start, end), rest])
      const first = start === 0 ? -1 : block.indexOf(0x0a)
      yield* splitBackwards(block.subarray(first + 1))
      rest = start === 0 ? Buffer.alloc(0) : block.subarray(0, first < 0 ? block.length : first + 1)
      end = start
    }
  } finally {
    await file.close()
  }
}

async function readBlock(file: FileHandle, start: number, end: number): Promise<Buffer> {
  const block = Buffer.alloc(end - start)
  const { bytesRead } = await file.read(block, 0, block.length, start)
  return block.subarray(0, bytesRead)
}

function* splitBackwards(block: Buffer): Generator<Buffer> {
  let end = block.length
  while (end > 0) {
    const newline = block.lastIndexOf(0x0a, end - 1)
    if (newline + 1 < end) yield block.subarray(newline + 1, end)
    end = newline
  }
}

/** What the next line has to bear as `prev`: the last line of the youngest file that has one decides. */
export async function chainEnd(path: string): Promise<string> {
  for (const file of listAuditFiles(path)) for await (const line of linesBackwards(file)) return chainHash(line)
  return chainStart
}

export async function sizeOf(path: string): Promise<number> {
  return (await stat(path)).size
}
