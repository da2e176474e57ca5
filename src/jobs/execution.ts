import { stat } from 'node:fs/promises'
import type { JobStatus } from '../../schemas/jobs.js'
import { GatewayError, isStorageFull } from '../errors.js'
import { isOver, type Job } from './job.js'
import type { Ending } from './job-folder.js'
import { outcomeOf } from './outcome.js'
import { isOwnType, type OwnEvent, OwnEvents } from './own-events.js'
import type { Run, RunEnd, Runner, RunSpec } from './runners/runner.js'

/** setTimeout(3) of Node takes no more than this many milliseconds. */
const timerMaxMs = 2 ** 31 - 1
const retryMs = 1000

export interface ExecutionOptions {
  runner: Runner | undefined
  /** What the job's environment is built on; its own entries and ours come on top. */
  environment: Record<string, string>
  logsMaxBytes: number
  graceMs: () => number
}

/** Takes one job from its start, or from what an earlier hackd left of it, to its end. */
export class Execution {
  readonly job: Job
  /** Resolves when the start of the job is on record, or when it never began. Never rejects. */
  readonly begun: Promise<unknown>
  /** Resolves when the job is over and on record. Never rejects. */
  readonly finished: Promise<void>
  readonly #options: ExecutionOptions
  readonly #run: Promise<Run>
  #ownEvents: OwnEvents | undefined
  #ending: Ending | undefined
  #recorded: Promise<void> = Promise.resolve()
  #ended: Promise<void> | undefined
  #lastSignal: NodeJS.Signals | undefined
  #deadline: NodeJS.Timeout | undefined
  #closed = false

  private constructor(job: Job, options: ExecutionOptions, run: (execution: Execution) => Promise<Run>) {
    this.job = job
    this.#options = options
    this.#run = run(this).catch(error => failedRun(startFailure(error)))
    this.begun = this.#run.then(({ started, ended }) =>
      Promise.race([started.then(it => this.#started(it.pid)), ended]),
    )
    this.finished = this.#follow()
  }

  /** Spawns a queued job. It is on record as `starting` before anything is spawned, so that it never is twice. */
  static start(job: Job, options: ExecutionOptions): Execution {
    return new Execution(job, options, async execution => {
      await job.transition('starting', 'job.starting')
      if (!job.isSaved) return failedRun({ failure: 'storage_error', error: 'the disk took no record of the start' })
      if (!options.runner) return failedRun({ failure: 'spawn_error', error: 'its runner is not there any more' })
      return options.runner.start(execution.#spec())
    })
  }

  /** Takes up a job that an earlier hackd spawned: alive, ended meanwhile, or lost. A begun cancel goes on. */
  static adopt(job: Job, options: ExecutionOptions): Execution {
    return new Execution(job, options, async execution => {
      execution.#ending = await job.folder.readEnding().catch(() => undefined)
      try {
        const run = await options.runner?.adopt(execution.#spec())
        return run ?? failedRun({ failure: 'lost', error: 'hackd stopped before the job was spawned' })
      } catch (error) {
        return failedRun({ failure: 'lost', error: `its record cannot be read: ${(error as Error).message}` })
      }
    })
  }

  #spec(): RunSpec {
    const { folder, request, meta } = this.job
    const ownEnvironment = {
      ...request.environment,
      HACK_JOB_ID: meta.jobId,
      HACK_PROJECT_ID: meta.projectId ?? '',
      HACK_JOB_EVENTS: folder.ownEvents,
    }
    return {
      jobId: meta.jobId,
      folder,
      command: meta.command ?? [],
      cwd: meta.cwd ?? '/',
      environment: { ...this.#options.environment, ...ownEnvironment },
      ownEnvironment,
      ...(request.container && { container: request.container }),
      stdin: request.stdin,
      logsMaxBytes: this.#options.logsMaxBytes,
      graceMs: this.#options.graceMs(),
    }
  }

  async #follow(): Promise<void> {
    const run = await this.#run
    const recorded = (await this.job.events()).filter(event => isOwnType(event.type)).length
    // The command may speak before its start is known here: what it says comes after.
    this.#ownEvents = new OwnEvents(this.job.folder.ownEvents, recorded, async event => {
      await this.begun
      await this.#record(event)
    })
    void this.begun.then(() => this.#ownEvents?.read())
    if (this.job.meta.startedAt) this.#armDeadline()
    if (this.#ending) this.#insist(this.#ending.why)
    const end = await run.ended
    if (!this.#closed) await this.#finish(end)
  }

  async #started(pid: number | undefined): Promise<void> {
    if (this.job.meta.status !== 'starting') return
    const facts = pid === undefined ? {} : { pid }
    await this.job.transition('running', 'job.started', facts, { ...facts, startedAt: new Date().toISOString() })
    this.#armDeadline()
  }

  async #record(event: OwnEvent): Promise<void> {
    await this.job.record(event.type, event.payload)
    if (event.type === 'awaiting_input')
      await this.job.transition('awaiting_input', 'job.awaiting_input', event.payload)
  }

  /** The deadline counts from startedAt, whoever was there to watch it. */
  #armDeadline(): void {
    const { timeoutMs } = this.job.request
    if (timeoutMs === undefined || this.#closed || isOver(this.job.meta)) return
    const left = Date.parse(this.job.meta.startedAt ?? '') + timeoutMs - Date.now()
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(
      () => (left > timerMaxMs ? this.#armDeadline() : this.#insist('timeout')),
      Math.min(Math.max(left, 0), timerMaxMs),
    )
  }

  /** An end that nobody waits for: what keeps it from coming, a full disk say, is tried again. */
  #insist(why: Ending['why']): void {
    this.end(why).catch(error => {
      if (this.#closed || error instanceof GatewayError) return
      clearTimeout(this.#deadline)
      this.#deadline = setTimeout(() => this.#insist(why), retryMs)
    })
  }

  /**
   * Ends the job and everything that belongs to it. Its cause is on disk before the first signal.
   * @throws GatewayError job_not_running when the job came to another end first.
   */
  async end(why: Ending['why']): Promise<void> {
    const run = await this.#run
    if (!this.#ending && (await run.isOver())) {
      await this.finished
      throw new GatewayError('job_not_running', 'The job has ended already.')
    }
    await this.#recordEnding(why)
    await this.#endRun()
    await this.finished
    const wanted: JobStatus = why === 'cancel' ? 'cancelled' : 'failed'
    if (this.job.meta.status !== wanted) throw new GatewayError('job_not_running', 'The job came to another end first.')
  }

  /** The first cause counts. Who comes while it is being put on record waits for that. */
  #recordEnding(why: Ending['why']): Promise<void> {
    if (this.#ending) return this.#recorded
    const ending: Ending = { why, at: new Date().toISOString() }
    this.#ending = ending
    this.#recorded = this.job.folder.saveEnding(ending).catch(error => {
      this.#ending = undefined
      throw error
    })
    return this.#recorded
  }

  async #endRun(): Promise<void> {
    this.#ended ??= this.#run.then(async run => {
      this.#lastSignal = await run.end(this.#options.graceMs())
    })
    try {
      await this.#ended
    } catch (error) {
      this.#ended = undefined
      throw error
    }
  }

  async input(data: Uint8Array, eof: boolean): Promise<void> {
    await (await this.#run).input(data, eof)
    const payload = { bytes: data.length, ...(eof ? { eof } : {}) }
    const resumed = await this.job.transition('running', 'job.input', payload)
    if (!resumed) await this.job.record('job.input', payload)
  }

  async #finish(end: RunEnd): Promise<void> {
    clearTimeout(this.#deadline)
    await this.#ownEvents?.read()
    this.#ownEvents?.close()
    // Our own signal may have ended the run: then its end waits for the last survivor.
    await this.#ended?.catch(() => undefined)
    const { folder, request } = this.job
    const logsBytes = await stat(folder.log).then(
      log => log.size,
      () => 0,
    )
    const { status, type, payload, change } = outcomeOf(end, this.#ending, this.#lastSignal)
    const finishedAt = new Date().toISOString()
    if (Object.keys(request.environment).length > 0) await folder.forgetEnvironment(request).catch(() => undefined)
    await this.job.transition(status, type, payload, { ...change, finishedAt, logsBytes })
    // The start of a run this short may have set it meanwhile.
    clearTimeout(this.#deadline)
  }

  /** Stops watching; the job goes on. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#deadline)
    this.#ownEvents?.close()
    // A start that is under way is seen through: what it spawns has to be on record.
    const run = await this.#run
    run.close()
  }
}

function startFailure(error: unknown): RunEnd {
  const message = error instanceof Error ? error.message : String(error)
  return { failure: isStorageFull(error) ? 'storage_error' : 'spawn_error', error: message }
}

/** A run that never began. */
export function failedRun(end: RunEnd): Run {
  return {
    started: new Promise(() => undefined),
    ended: Promise.resolve(end),
    isOver: async () => true,
    end: async () => 'SIGTERM',
    input: async () => {
      throw new GatewayError('stdin_closed')
    },
    close: () => undefined,
  }
}
