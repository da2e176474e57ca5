import { type ProcessIdentity, parseStat } from '../../processes/identity.js'

/** What job-wrapper.sh has put on record so far. */
export interface Journal {
  wrapper?: ProcessIdentity
  job?: ProcessIdentity
  writer?: ProcessIdentity
  holder?: ProcessIdentity
  /** The command's exit status, 128+n for signal n. */
  exited?: number
  /** The log writer's exit status; it ends after the last process that holds the job's output. */
  written?: number
}

/** Parses the journal. A torn or foreign line is no line. */
export function parseJournal(text: string): Journal {
  const journal: Journal = {}
  for (const line of text.split('\n').slice(0, -1)) {
    const space = line.indexOf(' ')
    const what = line.slice(0, space)
    const value = line.slice(space + 1)
    if (what === 'exited' || what === 'written') {
      if (/^\d{1,3}$/.test(value)) journal[what] = Number(value)
    } else if (what === 'wrapper' || what === 'job' || what === 'writer' || what === 'holder') {
      const stat = parseStat(value)
      if (stat) journal[what] = { pid: stat.pid, startTime: stat.startTime }
    }
  }
  return journal
}
