import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { isDead, type ProcessStat, parseStat } from './identity.js'

/** Which processes belong to one job or shell. A process belongs if any of these says so, or if its parent belongs. */
export interface TreeQuery {
  /** An environment entry that the tree inherits, `NAME=value`; it finds double-forked and setsid'ed descendants. */
  mark: string
  /** The process that leads the tree's own session and process group. */
  leader?: number | undefined
  /** The leader's start time, where known: while another process has its pid, the number says nothing. */
  leaderStart?: string | undefined
  /** A session that is spared though it bears the mark: the supervising wrapper and the log writer. */
  spareSession?: number | undefined
}

/**
 * Every living process of the tree, read from /proc (proc(5)). A process whose environment is not readable
 * (another user's, setuid) still belongs through its session, group or parent.
 */
export async function findTree(query: TreeQuery): Promise<ProcessStat[]> {
  const processes = await listProcesses()
  const members = new Map<number, ProcessStat>()
  const leader = processes.some(stat => isImpostor(stat, query)) ? undefined : query.leader
  for (const stat of processes) {
    if (isDead(stat) || stat.sid === query.spareSession || stat.pid === process.pid) continue
    const led = leader !== undefined && [stat.pid, stat.pgid, stat.sid].includes(leader)
    if (led || (await bearsMark(stat.pid, query.mark))) members.set(stat.pid, stat)
  }
  for (let grew = true; grew; ) {
    grew = false
    for (const stat of processes) {
      if (members.has(stat.pid) || isDead(stat) || stat.sid === query.spareSession) continue
      if (members.has(stat.ppid)) {
        members.set(stat.pid, stat)
        grew = true
      }
    }
  }
  return [...members.values()]
}

/** A later process with the leader's pid. The kernel gives no pid away that still names a group or a session. */
function isImpostor(stat: ProcessStat, { leader, leaderStart }: TreeQuery): boolean {
  return stat.pid === leader && leaderStart !== undefined && stat.startTime !== leaderStart
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
  /** Resolves early when nothing is left, if the caller knows a cheaper way to hear of it than the next look. */
  ended?: Promise<unknown>
}

/**
 * Ends a whole tree: `first` to everyone, the grace, then SIGKILL until a look finds nobody.
 * Before each SIGKILL round all members are stopped, so that none forks between the look and the kill.
 * Returns the last signal that was needed.
 */
export async function endTree({ query, first, graceMs, ended }: EndTreeOptions): Promise<NodeJS.Signals> {
  for (const { pid } of await findTree(query)) {
    signalProcess(pid, first)
    // A stopped process would not act on it.
    signalProcess(pid, 'SIGCONT')
  }
  const deadline = performance.now() + graceMs
  for (let pause = 5; performance.now() < deadline; pause = Math.min(pause * 2, 100)) {
    if ((await findTree(query)).length === 0) return first
    const left = Math.max(0, deadline - performance.now())
    await Promise.race([delay(Math.min(pause, left)), ...(ended ? [ended.then(() => delay(1))] : [])])
  }
  for (let round = 0; ; round++) {
    const members = await findTree(query)
    if (members.length === 0) return round === 0 ? first : 'SIGKILL'
    for (const { pid } of members) signalProcess(pid, 'SIGSTOP')
    for (const { pid } of await findTree(query)) signalProcess(pid, 'SIGKILL')
    await delay(Math.min(2 ** round, 100))
  }
}
