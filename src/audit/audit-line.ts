import { hash } from 'node:crypto'
import type { AuditEntry } from '../../schemas/audit.js'

/** An entry before it has its place in the chain, as cheap to make as can be: it is made for every request. */
export type AuditRecord = Loose<Omit<AuditEntry, 'ts' | 'prev'>> & {
  /** Milliseconds since the epoch. */
  at: number
}
type Loose<T> = { [K in keyof T]: undefined extends T[K] ? T[K] | undefined : T[K] }

/** What the first line of the first file chains to. */
export const chainStart = '0'.repeat(64)

/** Escaping makes six bytes of one character at worst: a line stays below 8 KiB. */
const longestPath = 800
const longestText = 200
const tokenPattern = /hack_([0-9a-f]{12})_[\w-]{20,}/g

/** Hex SHA-256 of a line's bytes without its newline: what the next line bears as `prev`. */
export function chainHash(line: Uint8Array): string {
  return hash('sha256', line, 'hex')
}

/**
 * An entry as it will stand in the log, but for its link: a batch adds that when its turn has come. Written out by hand,
 * since this is a good part of what a request costs.
 */
export function auditText(record: AuditRecord): string {
  let json = `{"ts":"${timestamp(record.at)}","id":"${record.id}","phase":"${record.phase}"`
  json += text('tokenId', record.tokenId)
  json += `,"method":"${record.method}","path":${quote(safePath(record.path))}`
  json += number('status', record.status)
  json += text('remoteAddress', record.remoteAddress)
  json += text('userAgent', record.userAgent && safeText(record.userAgent))
  json += number('durationMs', record.durationMs)
  json += text('projectId', record.projectId)
  json += text('jobId', record.jobId)
  json += text('shellId', record.shellId)
  json += text('action', record.action)
  json += number('bytesIn', record.bytesIn)
  json += number('bytesOut', record.bytesOut)
  return json + number('count', record.count)
}

function text(name: string, value: string | undefined): string {
  return value === undefined ? '' : `,"${name}":${quote(value)}`
}

function number(name: string, value: number | undefined): string {
  return value === undefined ? '' : `,"${name}":${value}`
}

let second = ''
let secondStart = Number.NaN

/** ISO 8601 of a time; most lines fall in the second of the line before. */
function timestamp(at: number): string {
  const past = at - secondStart
  if (past >= 0 && past < 1000) return `${second}${String(past).padStart(3, '0')}Z`
  const iso = new Date(at).toISOString()
  secondStart = at - (at % 1000)
  second = iso.slice(0, -4)
  return iso
}

/** JSON in ASCII: no control character, whether C0, C1 or one that turns text around, reaches the terminal of whoever reads the log. */
function quote(value: string): string {
  if (/^[ !#-[\]-~]*$/.test(value)) return `"${value}"`
  return JSON.stringify(value).replace(/[^ -~]/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
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
