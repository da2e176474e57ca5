import { hash } from 'node:crypto'
import type { AuditEntry } from '../../schemas/audit.js'

/** An entry before it has its place in the chain. */
export type AuditRecord = Omit<AuditEntry, 'prev'>

/** What the first line of the first file chains to. */
export const chainStart = '0'.repeat(64)

/** Escaping makes six bytes of one character at worst: a line stays below 8 KiB. */
const longestPath = 800
const longestText = 200
const tokenPattern = /hack_([0-9a-f]{12})_[\w-]{20,}/g

/** Hex SHA-256 of a line's bytes without its newline: what the next line bears as `prev`. */
export function chainHash(line: string | Uint8Array): string {
  return hash('sha256', line, 'hex')
}

/** The line of an entry, without its newline. `prev` comes last: the line is the record with its link added. */
export function auditLine(record: AuditRecord, prev: string): string {
  const safe = { ...record, path: safePath(record.path) }
  if (record.userAgent !== undefined) safe.userAgent = safeText(record.userAgent)
  const json = escapeControls(JSON.stringify(safe))
  return `${json.slice(0, -1)},"prev":"${prev}"}`
}

/** JSON escapes C0 controls only; DEL, C1 controls and line separators would still reach the terminal of whoever reads the log. */
function escapeControls(json: string): string {
  if (!/[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/.test(json)) return json
  return json.replace(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** A URL as it may be kept: no secret, not too long. */
export function safePath(url: string): string {
  const query = url.indexOf('?')
  if (query < 0) return safeText(url, longestPath)
  const pairs = url
    .slice(query + 1)
    .split('&')
    .map(safePair)
  return safeText(`${url.slice(0, query)}?${pairs.join('&')}`, longestPath)
}

/** Names and values may be percent-encoded to slip by: they are judged decoded. */
function safePair(pair: string): string {
  const equals = pair.indexOf('=')
  const name = equals < 0 ? pair : pair.slice(0, equals)
  const isSecret = /token|secret|password|authorization/i.test(decode(name)) || /hack_/i.test(decode(pair))
  return isSecret && equals >= 0 ? `${name}=[removed]` : pair
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}

/** Text from outside as it may be kept: no token, not too long. */
export function safeText(text: string, longest = longestText): string {
  const shown = text.includes('hack_') ? text.replace(tokenPattern, 'hack_$1_[removed]') : text
  return shown.length > longest ? `${shown.slice(0, longest)}…` : shown
}
