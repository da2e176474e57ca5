import { GatewayError } from '../errors.js'

/** A part of a log of `size` bytes: from `start` up to, not including, `end`. `partial` when a Range asked for it. */
export interface ByteRange {
  start: number
  end: number
  size: number
  partial: boolean
}

/**
 * Which bytes a request means: `tail` counts from the end; else a single `bytes=` range of RFC 9110, §14.1.2. What that
 * section lets a server ignore, other units, several ranges and bad syntax, means the whole.
 * @throws GatewayError offset_out_of_range
 */
export function resolveRange(size: number, query: { tail?: number | undefined; range: string | undefined }): ByteRange {
  const whole = { start: 0, end: size, size, partial: false }
  if (query.tail !== undefined) return { ...whole, start: Math.max(0, size - query.tail) }
  const match = /^bytes=(\d*)-(\d*)$/.exec(query.range?.trim() ?? '')
  if (!match || (match[1] === '' && match[2] === '')) return whole
  const [, first = '', last = ''] = match
  if (first === '') {
    const suffix = Number(last)
    if (suffix === 0) throw outOfRange(size)
    // Satisfiable, but no Content-Range can name the bytes of an empty log.
    if (size === 0) return whole
    return { start: Math.max(0, size - suffix), end: size, size, partial: true }
  }
  const start = Number(first)
  if (last !== '' && Number(last) < start) return whole
  if (start >= size) throw outOfRange(size)
  return { start, end: last === '' ? size : Math.min(size, Number(last) + 1), size, partial: true }
}

function outOfRange(size: number): GatewayError {
  return new GatewayError('offset_out_of_range', `The log has ${size} bytes.`, {
    headers: { 'content-range': `bytes */${size}` },
  })
}
