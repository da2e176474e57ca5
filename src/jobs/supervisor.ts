import type { CreateJob, JobEvent, JobInput, JobMeta, JobStatus, JobsQuery, LogsQuery } from '../../schemas/jobs.js'
import type { Config } from '../config.js'
import { GatewayError } from '../errors.js'
import { resolveWorkingDirectory } from '../projects/working-directory.js'
import { type ByteRange, resolveRange } from './byte-range.js'
import { Execution } from './execution.js'
import { bodyDigest, IdempotencyKeys } from './idempotency.js'
import { isOver, Job, type JobRecord } from './job.js'
import { type FeedItem, type FeedStart, followJob, logSize, readLog } from './job-feed.js'
import type { IdempotencyMark } from './job-folder.js'
import { JobIds } from './job-id.js'
import { JobQueue } from './job-queue.js'
import { JobSession, type SessionPeer, type SessionSource } from './job-session.js'
import { JobTable } from './job-table.js'
import { type JobProject, newRecord } from './new-job.js'
import { Retention } from './retention.js'
import type { Runner } from './runners/runner.js'

export interface SupervisorOptions {
  /** $HACK_HOME/daemon/jobs */
  root: string
  config: { readonly current: Config; onChange(listener: () => void): () => void }
  projects: {
    get(projectId: string): JobProject | undefined
    isServed(projectId: string): boolean
    onChange(listener: () => void): () => void
  }
  runners: Runner[]
  /** What jobs inherit. */
  environment: Record<string, string>
  report: (problem: string) => void
}

/** Who asks: jobs asked for through the admin socket run even while writes are off. */
export interface Requester {
  owner: string
  local: boolean
}

const pruneMs = 60 * 60 * 1000

/** Keeps, queues and runs jobs. It knows no HTTP; jobs outlive its requests, and hackd itself. */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #runners: Map<string, Runner>
  readonly #table: JobTable
  readonly #ids = new JobIds()
  readonly #keys = new IdempotencyKeys()
  readonly #retention = new Retention()
  readonly #queue: JobQueue
  readonly #executions = new Map<Job, Execution>()
  readonly #stops: (() => void)[]
  readonly #prune: NodeJS.Timeout
  #closed = false

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#runners = new Map(options.runners.map(runner => [runner.name, runner]))
    this.#table = new JobTable(options.root, options.report)
    this.#queue = new JobQueue({
      slots: () => options.config.current.supervisor.maxConcurrentJobs,
      mayStart: job => this.#mayStart(job),
      start: job => this.#execute(job, Execution.start),
    })
    const advance = () => this.#queue.advance()
    this.#stops = [options.config.onChange(advance), options.projects.onChange(advance)]
    this.#prune = setInterval(() => this.#expire(), pruneMs).unref()
  }

  /** Takes up what an earlier hackd left: queued jobs keep their order, running ones are adopted. */
  async start(): Promise<void> {
    const jobs = this.#table.load()
    for (const job of jobs) {
      this.#ids.seen(job.meta.jobId)
      const mark = job.folder.loadMark()
      if (mark) this.#keys.add(job.meta.projectId ?? '', mark, job.meta.jobId, Date.parse(job.meta.createdAt))
    }
    const open = jobs.filter(job => !isOver(job.meta))
    for (const job of open) await job.restore()
    this.#retention.load(jobs.filter(job => isOver(job.meta)))
    for (const job of open.filter(job => !isOver(job.meta)))
      if (job.meta.status === 'queued') this.#queue.add(job)
      else this.#execute(job, Execution.adopt)
    this.#expire()
    this.#queue.advance()
  }

  /** Queues a job, or finds the one that the same Idempotency-Key made before. */
  async create(
    projectId: string,
    body: CreateJob,
    by: Requester,
    key?: string,
  ): Promise<{ job: JobMeta; isNew: boolean }> {
    const project = this.#project(projectId)
    const mark = key === undefined ? undefined : { owner: by.owner, key, digest: bodyDigest(body) }
    return this.#keys.alone(projectId, mark, async () => {
      const known = mark && this.#keys.find(projectId, mark)
      const before = known === undefined ? undefined : this.#table.live(projectId, known)
      if (before) return { job: before.meta, isNew: false }
      return { job: await this.#createJob(project, body, by, mark), isNew: true }
    })
  }

  async #createJob(project: JobProject, body: CreateJob, by: Requester, mark?: IdempotencyMark): Promise<JobMeta> {
    if (this.#closed) throw new GatewayError('shutting_down')
    const runner = body.runner ?? 'generic'
    if (!this.#runners.has(runner))
      throw new GatewayError(
        'unknown_runner',
        `There is no runner "${runner}". Known: ${[...this.#runners.keys()].join(', ')}.`,
      )
    const cwd = await resolveWorkingDirectory(project.repoRoot, body.cwd)
    const { maxQueuedJobs } = this.#options.config.current.supervisor
    if (this.#queue.waiting >= maxQueuedJobs)
      throw new GatewayError(
        'queue_full',
        `The queue is full: it holds ${maxQueuedJobs} (supervisor.maxQueuedJobs). Try again later.`,
      )
    const jobId = this.#ids.next()
    const { meta, request } = newRecord({ jobId, runner, project, cwd, body, local: by.local })
    const job = new Job(this.#table.folder(project.id, jobId), request, meta, this.#options.report)
    await job.create(mark)
    this.#table.add(job)
    if (mark) this.#keys.add(project.id, mark, jobId, Date.now())
    const created = job.meta
    this.#queue.add(job)
    this.#queue.advance()
    return created
  }

  list(projectId: string, query: JobsQuery): JobMeta[] {
    return this.#table.list(this.#project(projectId), query)
  }

  get(projectId: string, jobId: string): JobMeta {
    return this.#find(projectId, jobId).meta
  }

  async events(projectId: string, jobId: string, from: number): Promise<JobEvent[]> {
    const events = await this.#find(projectId, jobId).events()
    return events.filter(event => event.seq > from)
  }

  /** Ends a job with everything that belongs to it. @throws GatewayError job_not_running */
  async cancel(projectId: string, jobId: string): Promise<void> {
    const job = this.#live(projectId, jobId)
    if (await this.#queue.cancel(job)) return this.#retire(job)
    const execution = this.#executions.get(job)
    if (!execution) throw new GatewayError('job_not_running', `The job is ${job.meta.status} already.`)
    await execution.end('cancel')
  }

  async input(projectId: string, jobId: string, { data, eof = false }: JobInput): Promise<JobMeta> {
    const job = this.#live(projectId, jobId)
    const execution = this.#executions.get(job)
    // Who has read its output knows that it runs, though that may not be on record yet.
    await execution?.begun
    const { status } = job.meta
    if (!execution || (status !== 'running' && status !== 'awaiting_input'))
      throw new GatewayError('job_not_running', `The job is ${status}.`)
    await execution.input(Buffer.from(data), eof)
    return job.meta
  }

  /** Serves one client's stream of a job, frame by frame. */
  session(projectId: string, jobId: string, peer: SessionPeer): JobSession {
    const source: SessionSource = {
      position: async () => {
        const job = this.#find(projectId, jobId)
        return { logsBytes: await this.#logSize(job), eventsSeq: job.meta.lastEventSeq }
      },
      follow: (start, signal) => this.follow(projectId, jobId, start, signal),
    }
    return new JobSession(source, peer)
  }

  follow(projectId: string, jobId: string, start: FeedStart, signal: AbortSignal): AsyncGenerator<FeedItem> {
    return followJob(this.#find(projectId, jobId), start, signal)
  }

  /** Raw bytes of a log. @throws GatewayError offset_out_of_range */
  async openLog(
    projectId: string,
    jobId: string,
    query: LogsQuery & { range: string | undefined },
    signal: AbortSignal,
  ) {
    const job = this.#find(projectId, jobId)
    const range: ByteRange = resolveRange(await this.#logSize(job), query)
    const end = query.follow ? undefined : range.end
    return { ...range, bytes: readLog(job, range.start, end, signal) }
  }

  /** How many jobs there are of each status. */
  counts(): Partial<Record<JobStatus, number>> {
    const counts: Partial<Record<JobStatus, number>> = {}
    for (const { meta } of this.#table.all()) counts[meta.status] = (counts[meta.status] ?? 0) + 1
    return counts
  }

  async #logSize(job: JobRecord): Promise<number> {
    job.log.take()
    try {
      return await logSize(job)
    } finally {
      await job.log.release()
    }
  }

  #project(projectId: string): JobProject {
    const project = this.#options.projects.get(projectId)
    if (!project) throw new GatewayError('project_disabled')
    return project
  }

  #find(projectId: string, jobId: string): JobRecord {
    return this.#table.find(this.#project(projectId), jobId)
  }

  /** A job that can be acted on: history cannot. */
  #live(projectId: string, jobId: string): Job {
    const job = this.#table.live(projectId, jobId)
    if (job) return job
    this.#find(projectId, jobId)
    throw new GatewayError('job_not_running', 'The job is history: it was run by an earlier tool.')
  }

  #mayStart(job: Job): boolean {
    if (this.#closed || !this.#options.projects.isServed(job.meta.projectId ?? '')) return false
    return job.request.local || this.#options.config.current.gateway.allowWrites
  }

  #execute(job: Job, begin: typeof Execution.start): void {
    const { supervisor } = this.#options.config.current
    const execution = begin(job, {
      runner: this.#runners.get(job.meta.runner),
      environment: this.#options.environment,
      logsMaxBytes: supervisor.logsMaxBytes,
      graceMs: () => this.#options.config.current.supervisor.cancelGraceMs,
    })
    this.#executions.set(job, execution)
    this.#queue.occupy(job)
    void execution.finished.then(() => {
      this.#executions.delete(job)
      this.#queue.release(job)
      this.#retire(job)
    })
  }

  #retire(job: Job): void {
    if (this.#closed) return
    this.#retention.add(job)
    this.#expire()
  }

  #expire(): void {
    this.#keys.prune()
    for (const job of this.#retention.expire(this.#options.config.current.supervisor)) {
      this.#table.delete(job)
      job.gone = true
      job.bell.ring()
      void job.close()
      void job.folder.remove().catch(error => this.#options.report(`${job.folder.path}: ${(error as Error).message}`))
    }
  }

  /** Lets go of everything. Running jobs go on, and the next hackd adopts them. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#prune)
    for (const stop of this.#stops) stop()
    await Promise.all([...this.#executions.values()].map(execution => execution.close()))
    await Promise.all([...this.#table.all()].map(job => job.close()))
  }
}
