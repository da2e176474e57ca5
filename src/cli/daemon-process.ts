import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Status } from '../../schemas/status.js'
import { type Home, prepareHome } from '../home.js'
import { nodeOptions } from '../node-options.js'
import { isAlive, type ProcessIdentity } from '../processes/identity.js'
import { lockOwner } from '../storage/lock-file.js'
import { openPrivate } from '../storage/private-file.js'
import { adminClient } from './admin-socket.js'
import { CliError, exitCodes } from './cli.js'
import { lastLines, rotateLog, sizeOf } from './daemon-log.js'
import { inert } from './ui/inert.js'

const hackd = fileURLToPath(new URL('../main.js', import.meta.url))
/** Long enough for a loaded machine; reached only when something is wrong. */
const startMs = 30_000
const stopMs = 30_000
const lookMs = 20

export interface RunningDaemon {
  pid: number
  version: string
  /** Where it listens; null while no project is enabled, undefined when this hackd does not say. */
  url: string | null | undefined
  startedAt: string
  uptimeMs: number
}

/** The process that holds the home's lock: its pid and start time match, so it is no other one. */
export function daemonProcess(home: Home): Promise<ProcessIdentity | undefined> {
  return lockOwner(home.pidFile)
}

/** Undefined while nobody answers on the admin socket. */
export async function askDaemon(home: Home): Promise<RunningDaemon | undefined> {
  const result = await adminClient(home).request<Status & { url?: string | null }>({ path: '/v1/status' })
  if (!result.ok) return undefined
  const { pid, version, url, started_at: startedAt, uptime_ms: uptimeMs } = result.data
  return { pid, version, url, startedAt, uptimeMs }
}

/**
 * Starts hackd in a session of its own and waits until it answers on the admin socket.
 * @throws CliError with the last lines of its log when it does not get that far.
 */
export async function startDaemon(home: Home, flags: string[]): Promise<RunningDaemon> {
  prepareHome(home)
  await rotateLog(home)
  const log = await openPrivate(home.log, 'a')
  const logStart = await sizeOf(home.log)
  try {
    const child = spawn(process.execPath, [...nodeOptions, hackd, '--home', home.root, ...flags], {
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      cwd: home.root,
    })
    const ready = await waitUntilReady(home, child)
    child.unref()
    if (ready) return ready
    throw await startFailure(home, child, logStart)
  } finally {
    await log.close()
  }
}

async function waitUntilReady(home: Home, child: ChildProcess): Promise<RunningDaemon | undefined> {
  const ended = new Promise<void>(resolve => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  let over = false
  ended.then(() => {
    over = true
  })
  const deadline = performance.now() + startMs
  while (!over && performance.now() < deadline) {
    const daemon = await askDaemon(home)
    if (daemon?.pid === child.pid) return daemon
    await Promise.race([ended, delay(lookMs)])
  }
  if (!over) child.kill('SIGTERM')
  return undefined
}

async function startFailure(home: Home, child: ChildProcess, logStart: number): Promise<CliError> {
  const lines = await lastLines(home, logStart, 15)
  const what =
    child.exitCode === null ? 'hackd did not become ready' : `hackd ended at once, with exit code ${child.exitCode}`
  return new CliError('start_failed', [`${what}:`, ...lines.map(line => `  ${line}`)].join('\n'), {
    next: `Its log: ${inert(home.log)}`,
    exitCode: child.exitCode === exitCodes.usage ? exitCodes.usage : exitCodes.failed,
  })
}

/** Asks it to stop and waits until the process is gone. */
export async function stopDaemon(owner: ProcessIdentity): Promise<void> {
  if (isAlive(owner)) process.kill(owner.pid, 'SIGTERM')
  const deadline = performance.now() + stopMs
  while (isAlive(owner)) {
    if (performance.now() > deadline)
      throw new CliError('stop_failed', `hackd (pid ${owner.pid}) still runs ${stopMs / 1000} s after SIGTERM.`, {
        next: `Its jobs survive it, so this loses nothing: kill -9 ${owner.pid}`,
      })
    await delay(lookMs)
  }
}
