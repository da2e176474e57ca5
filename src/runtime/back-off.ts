/** How many milliseconds to wait after so many failures in a row. */
export function backOff(failures: number): number {
  return Math.min(250 * 2 ** failures, 10_000)
}
