import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { isDead, type ProcessIdentity, type ProcessStat, parseStat } from './identity.js'

/** Where the processes of one job or shell are recognised by. */
export interface TreeQuery {
  /** An environment entry that the tree inherits, `NAME=value`; it finds double-forked and setsid'ed descendants. */
  mark: string
  /** The process that leads the tree's own session. A recycled pid is not it. */
  leader?: ProcessIdentity | undefined
  /** A session that is spared though it bears the mark: the supervising wrapper and the log writer. */
  spareSession?: number | undefined
}

/** Members of earlier looks, pid → start time: they stay members even when their leader and their parents are gone. */
export type KnownMembers = Map<number, string>

/**
 * Every living process of the tree, read from /proc (proc(5)): what bears the mark, the leader, what an earlier look
 * found, and, from there on, every child of a member and everything in a member's session. A tree begins with a
 * session leader, so no session of a member is anybody else's.
 */
export async function findTree(query: TreeQuery, known: KnownMembers = new Map()): Promise<ProcessStat[]> {
  const living = (await listProcesses()).filter(
    stat => !isDead(stat) && stat.sid !== query.spareSession && stat.pid !== process.pid,
  )
  const marked = await Promise.all(living.map(stat => bearsMark(stat.pid, query.mark)))
  const members = new Set(
    living.filter((stat, index) => {
      const led = stat.pid === query.leader?.pid && stat.startTime === query.leader.startTime
      return led || marked[index] || known.get(stat.pid) === stat.startTime
    }),
  )
  for (let size = -1; size !== members.size; ) {
    size = members.size
    const pids = new Set([...members].map(stat => stat.pid))
    const sessions = new Set([...members].map(stat => stat.sid))
    for (const stat of living) if (pids.has(stat.ppid) || sessions.has(stat.sid)) members.add(stat)
  }
  for (const { pid, startTime } of members) known.set(pid, startTime)
  return [...members]
}

async function listProcesses(): Promise<ProcessStat[]> {
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
  const stats = await Promise.all(
    pids.map(pid => readFile(`/proc/${pid}/stat`, 'latin1').then(parseStat, () => undefined)),
  )
  return stats.filter(stat => stat !== undefined)
}

async function bearsMark(pid: number, mark: string): Promise<boolean> {
  try {
    const environ = await readFile(`/proc/${pid}/environ`, 'latin1')
    return `\0${environ}`.includes(`\0${mark}\0`)
  } catch {
    return false
  }
}

/** Sends `signal` to one process; a process that is gone already is no error. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}

/** Sends `signal` to a process group; a group that is gone already is no error. */
export function signalGroup(pgid: number, signal: NodeJS.Signals): boolean {
  return signalProcess(-pgid, signal)
}

export interface EndTreeOptions {
  query: TreeQuery
  first: NodeJS.Signals
  /** Milliseconds between the first signal and SIGKILL. */
  graceMs: number
}

/**
 * Ends a whole tree: `first` to everyone, the grace, then SIGKILL until a look finds nobody.
 * Before each SIGKILL all members are stopped and looked for again, so that none forks away between look and kill.
 * Returns the last signal that was needed.
 */
export async function endTree({ query, first, graceMs }: EndTreeOptions): Promise<NodeJS.Signals> {
  const known: KnownMembers = new Map()
  for (const { pid } of await findTree(query, known)) {
    signalProcess(pid, first)
    // A stopped process would not act on it.
    signalProcess(pid, 'SIGCONT')
  }
  const deadline = performance.now() + graceMs
  // Other people's descendants send no event when they end: look again, soon at first.
  for (let pause = 2; performance.now() < deadline; pause = Math.min(pause * 2, 100)) {
    if ((await findTree(query, known)).length === 0) return first
    await delay(Math.min(pause, Math.max(0, deadline - performance.now())))
  }
  for (let round = 0; ; round++) {
    const members = await findTree(query, known)
    if (members.length === 0) return round === 0 ? first : 'SIGKILL'
    for (const { pid } of members) signalProcess(pid, 'SIGSTOP')
    for (const { pid } of await findTree(query, known)) signalProcess(pid, 'SIGKILL')
    await delay(Math.min(2 ** round, 100))
  }
}
