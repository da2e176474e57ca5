import { usageError } from './cli.js'

const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const

/** When `30d`, `12h`, `90m` or `2w` from now is, or an ISO date. @throws CliError when it is neither or lies in the past. */
export function parseExpiry(text: string, now = Date.now()): Date {
  const [, count, unit] = /^(\d{1,6})([mhdw])$/.exec(text) ?? []
  const at = count && unit ? now + Number(count) * unitMs[unit as keyof typeof unitMs] : parseDate(text)
  if (Number.isNaN(at))
    throw usageError(`${JSON.stringify(text)} is no expiry.`, 'Say 90m, 12h, 30d or 2w, or a date such as 2030-01-31.')
  if (at <= now) throw usageError(`${JSON.stringify(text)} is not in the future.`)
  return new Date(at)
}

function parseDate(text: string): number {
  return /^\d{4}-\d\d-\d\d(T.*)?$/.test(text) ? Date.parse(text) : Number.NaN
}

/** The two largest units of a time span, such as `3h 5m`. */
export function formatDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const parts = [
    `${Math.floor(seconds / 86_400)}d`,
    `${Math.floor(seconds / 3600) % 24}h`,
    `${Math.floor(seconds / 60) % 60}m`,
    `${seconds % 60}s`,
  ]
  const first = parts.findIndex(part => !part.startsWith('0'))
  return first < 0 ? '0s' : parts.slice(first, first + 2).join(' ')
}
