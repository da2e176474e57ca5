import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { systemCode } from '../errors.js'

/**
 * A process that cannot be mistaken for a later one with the same pid.
 * `startTime` is opaque: the kernel's start tick and boot id on Linux (proc(5), /proc/<pid>/stat field 22),
 * `ps -o lstart=` elsewhere.
 */
export interface ProcessIdentity {
  pid: number
  startTime: string
}

/** The fields of /proc/<pid>/stat that supervision needs. */
export interface ProcessStat {
  pid: number
  /** One letter: R, S, D, Z … */
  state: string
  ppid: number
  pgid: number
  sid: number
  /** The foreground process group of its terminal (tcgetpgrp(3)); -1 without one. */
  tpgid: number
  startTime: string
}

const bootId = ((): string => {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8)
  } catch {
    return ''
  }
})()

/** Parses a line of /proc/<pid>/stat. The command may itself hold spaces and parentheses: the last `)` ends it. */
export function parseStat(line: string): ProcessStat | undefined {
  const end = line.lastIndexOf(')')
  const fields = line.slice(end + 2).split(' ')
  const pid = Number.parseInt(line, 10)
  const tick = fields[19]
  if (end < 0 || !Number.isInteger(pid) || tick === undefined) return undefined
  const [state = ''] = fields
  const [ppid, pgid, sid, , tpgid] = fields.slice(1, 6).map(Number) as [number, number, number, number, number]
  return { pid, state, ppid, pgid, sid, tpgid, startTime: `${tick}@${bootId}` }
}

/** What the kernel says of `pid` now, or undefined when there is no such process or that cannot be told now. */
export function statProcess(pid: number): ProcessStat | undefined {
  try {
    return readStat(pid)
  } catch {
    return undefined
  }
}

/**
 * What the kernel says of `pid` now, or undefined when there is no such process.
 * @throws when that cannot be told now: that hackd is out of descriptors makes nobody dead.
 */
export function readStat(pid: number): ProcessStat | undefined {
  if (!Number.isInteger(pid) || pid <= 0) return undefined
  if (process.platform !== 'linux') return statWithPs(pid)
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(systemCode(error) ?? '')) return undefined
    throw error
  }
}

function statWithPs(pid: number): ProcessStat | undefined {
  const { error, stdout } = spawnSync('ps', ['-o', 'stat=,ppid=,pgid=,sess=,tpgid=,lstart=', '-p', String(pid)], {
    encoding: 'utf8',
  })
  if (error) throw error
  const [state, ppid, pgid, sid, tpgid, ...lstart] = stdout.trim().split(/\s+/)
  if (!state) return undefined
  return {
    pid,
    state: state.charAt(0),
    ppid: Number(ppid),
    pgid: Number(pgid),
    sid: Number(sid),
    tpgid: Number(tpgid),
    startTime: lstart.join(' '),
  }
}

/** The identity of a living process; undefined when it is gone or a zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = statProcess(pid)
  return stat && !isDead(stat) ? { pid, startTime: stat.startTime } : undefined
}

/** True while the very same process lives, and when that cannot be told now. A recycled pid or a zombie is not alive. */
export function isAlive(identity: ProcessIdentity): boolean {
  try {
    const stat = readStat(identity.pid)
    return stat?.startTime === identity.startTime && !isDead(stat)
  } catch {
    return true
  }
}

export function isDead(stat: ProcessStat): boolean {
  return stat.state === 'Z' || stat.state === 'X'
}

let own: ProcessIdentity | undefined

/** This process. */
export function selfIdentity(): ProcessIdentity {
  own ??= identify(process.pid) ?? { pid: process.pid, startTime: 'unknown' }
  return own
}
