import type { Result } from '../../src/client/client.js'

/** @throws Error that says why the gateway refused */
export function dataOf<T>(result: Result<T>): T {
  if (result.ok) return result.data
  throw new Error(`${result.error.code}: ${result.error.message}`)
}

export function heading(text: string): void {
  print(`\n── ${text}`)
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
