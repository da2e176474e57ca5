import { open, rename, stat } from 'node:fs/promises'
import type { Home } from '../home.js'

/** At start, a log larger than this is set aside; so many old ones are kept, the newest as hackd.1.log. */
const logMaxBytes = 8 * 2 ** 20
const keptLogs = 3
const tailBytes = 16 * 1024

export async function rotateLog(home: Home): Promise<void> {
  if ((await sizeOf(home.log)) <= logMaxBytes) return
  for (let number = keptLogs; number >= 1; number--) {
    const older = number === 1 ? home.log : numbered(home.log, number - 1)
    await rename(older, numbered(home.log, number)).catch(() => undefined)
  }
}

function numbered(path: string, number: number): string {
  return path.replace(/\.log$/, `.${number}.log`)
}

export async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  )
}

/** The last lines of the log that were written after `from` bytes. */
export async function lastLines(home: Home, from: number, count: number): Promise<string[]> {
  const file = await open(home.log, 'r')
  try {
    const { size } = await file.stat()
    const start = Math.max(from, size - tailBytes)
    const buffer = Buffer.alloc(Math.max(0, size - start))
    const { bytesRead } = await file.read(buffer, 0, buffer.length, start)
    const lines = buffer.toString('utf8', 0, bytesRead).split('\n')
    return lines.filter(line => line !== '').slice(-count)
  } finally {
    await file.close()
  }
}
