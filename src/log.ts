import { createRequire } from 'node:module'
import pino, { type Logger } from 'pino'

/** Logs to stderr: JSON lines, or text for people on a terminal. Whatever could be a secret is cut out here, last. */
export function openLog(level: string, pretty: boolean): Logger {
  const redact = {
    paths: ['token', 'authorization', '*.token', '*.authorization', '*["x-hack-token"]', 'req.headers', 'err.config'],
    censor: '[secret]',
  }
  if (!pretty) return pino({ level, redact }, pino.destination({ dest: 2, sync: true }))
  // Loaded on a terminal only: a service never needs it.
  const prettyStream = createRequire(import.meta.url)('pino-pretty')
  return pino({ level, redact }, prettyStream({ destination: 2, sync: true, ignore: 'pid,hostname' }))
}
