import { createReadStream } from 'node:fs'
import { AuditEntry } from '../../schemas/audit.js'
import { parseLine } from '../storage/jsonl.js'
import { listAuditFiles } from './audit-files.js'
import { chainHash, chainStart } from './audit-line.js'

export interface AuditCheck {
  files: number
  lines: number
  /** Lines that a crash cut off. They are part of the chain, but say nothing themselves. */
  torn: number
  /** False when older files were rotated away, so that the chain does not begin at its first line. */
  fromTheStart: boolean
  /** Where a line does not bear the hash of the one before it: something was changed, removed or inserted there. */
  broken: { file: string; line: number }[]
}

/** Checks the whole chain, over rotated files, oldest first. */
export async function verifyAudit(path: string): Promise<AuditCheck> {
  const files = listAuditFiles(path).reverse()
  const check: AuditCheck = { files: files.length, lines: 0, torn: 0, fromTheStart: true, broken: [] }
  let prev: string | undefined
  for (const file of files) {
    let number = 0
    for await (const line of linesForwards(file)) {
      number++
      check.lines++
      const entry = parseLine(line.toString(), AuditEntry)
      if (!entry) check.torn++
      else if (prev === undefined) check.fromTheStart = entry.prev === chainStart
      else if (entry.prev !== prev) check.broken.push({ file, line: number })
      prev = chainHash(line)
    }
  }
  return check
}

async function* linesForwards(path: string): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk])
    let start = 0
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a, start)) {
      if (end > start) yield rest.subarray(start, end)
      start = end + 1
    }
    rest = rest.subarray(start)
  }
  if (rest.length > 0) yield rest
}
