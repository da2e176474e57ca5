import { constants } from 'node:os'
import type { FailureReason, JobEvent, JobMeta, JobStatus } from '../../schemas/jobs.js'
import type { Ending } from './job-folder.js'
import type { RunEnd } from './runners/runner.js'

/** How a job's end goes on record. */
export interface Outcome {
  status: JobStatus
  type: string
  payload: NonNullable<JobEvent['payload']>
  change: Partial<JobMeta>
}

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]))

/** The name of the signal that an exit status of 128+n stands for. */
export function signalOf(exitCode: number | undefined): string | undefined {
  return exitCode !== undefined && exitCode > 128 ? signalNames.get(exitCode - 128) : undefined
}

/**
 * Decides what an end means. A cancel or a timeout that was put on record before the end is its cause;
 * else a failure of the run, else the exit status.
 */
export function outcomeOf(end: RunEnd, ending: Ending | undefined, lastSignal: string | undefined): Outcome {
  const { exitCode } = end
  const signal = signalOf(exitCode) ?? (ending && exitCode === undefined ? lastSignal : undefined)
  const facts = { ...(exitCode === undefined ? {} : { exitCode }), ...(signal ? { signal } : {}) }
  if (ending?.why === 'cancel') {
    const by = lastSignal ?? signal ?? null
    return {
      status: 'cancelled',
      type: 'job.cancelled',
      payload: { signal: by },
      change: { ...facts, ...(by ? { signal: by } : {}) },
    }
  }
  if (!ending && !end.failure && exitCode === 0)
    return { status: 'completed', type: 'job.completed', payload: { exitCode }, change: { exitCode } }
  const reason: FailureReason = ending ? 'timeout' : (end.failure ?? (signal ? 'signal' : 'exit_code'))
  const error = end.error ? { error: end.error } : {}
  return { status: 'failed', type: 'job.failed', payload: { ...facts, reason, ...error }, change: { ...facts, reason } }
}
