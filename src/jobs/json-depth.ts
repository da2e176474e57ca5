/** True for a value that JSON.stringify may not survive: it recurses, JSON.parse does not. */
export function isDeeperThan(limit: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return limit === 0 || Object.values(value).some(inner => isDeeperThan(limit - 1, inner))
}
