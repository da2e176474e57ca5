import type { PsQuery, PsReply, RuntimeProject } from '../../schemas/runtime.js'
import type { Metrics } from '../../schemas/status.js'
import { GatewayError, systemCode } from '../errors.js'
import { backOff } from './back-off.js'
import { type EndpointSources, findEndpoint } from './endpoint.js'
import { Engine } from './engine.js'
import { EventFeed } from './event-feed.js'
import { RefreshSchedule } from './refresh-schedule.js'
import { type BranchRuntime, isRunning, psItems, type Snapshot, takeSnapshot } from './snapshot.js'

/** Asked over something older, a list is begun in the background: ages ("Up 5 minutes") must not freeze. */
const staleMs = 10_000

export interface RuntimeOptions {
  endpoint: EndpointSources
  /** How long the engine may take to answer one call. */
  deadlineMs?: number
  /** Hears when the engine goes and when it comes back, a sentence each. */
  report: (message: string) => void
  /** Hears of a running Compose project that lives in a folder `.hack`, once while it runs. */
  discovered?: (found: Discovery) => void
}

export interface Discovery {
  composeProject: string
  /** The folder `<repo>/.hack`, as Compose named it. */
  projectDir: string
}

/** What the cache counts. Times are ISO 8601; null before the first. */
export type RuntimeCounters = Pick<
  Metrics,
  | 'cache_updated_at'
  | 'cache_age_ms'
  | 'last_refresh_at'
  | 'refresh_count'
  | 'refresh_failures'
  | 'last_event_at'
  | 'events_seen'
>

/**
 * What runs on this machine, kept current by the engine's events and answered from memory. An engine that is away, forbidden or
 * hung costs nobody anything: it is asked again in the background, with a back-off.
 */
export class Runtime {
  readonly #options: RuntimeOptions
  readonly #schedule = new RefreshSchedule(() => this.#refresh())
  readonly #feed = new EventFeed(() => this.#schedule.changed())
  readonly #announced = new Set<string>()
  #engine: Engine | undefined
  #snapshot: Snapshot | undefined
  /** Failures in a row; undefined until the first answer or failure. */
  #failures: number | undefined
  #absent = false
  #counters = { count: 0, failures: 0, lastAt: 0 }
  #closed = false

  constructor(options: RuntimeOptions) {
    this.#options = options
    this.#schedule.want(0)
  }

  /** The Compose project of that name; null when it has no containers, or when the engine cannot say. */
  project(name: string): RuntimeProject | null {
    return this.#current()?.projects.get(name) ?? null
  }

  /** The Compose projects `<name>--<branch>`. */
  branches(name: string): readonly BranchRuntime[] {
    return this.#current()?.branches.get(name) ?? []
  }

  /** All Compose projects, by name. */
  projects(): Iterable<RuntimeProject> {
    return this.#current()?.projects.values() ?? []
  }

  /**
   * Rows of the last snapshot, however old; their age is in the reply.
   * @throws GatewayError `runtime_unavailable` when there has never been one.
   */
  ps({ compose_project, project = compose_project, branch }: PsQuery): PsReply {
    const snapshot = this.#look()
    if (!snapshot) throw new GatewayError('runtime_unavailable')
    return {
      project,
      branch: branch ?? null,
      composeProject: compose_project,
      items: psItems(snapshot.projects.get(compose_project)),
      cache_age_ms: this.ageMs() ?? 0,
    }
  }

  /** False while there is an engine and it cannot be asked. Where there is none, it is known that nothing runs. */
  get isKnown(): boolean {
    return !this.#failures || this.#absent
  }

  /** How old the last snapshot is, in milliseconds; null when there has never been one. */
  ageMs(): number | null {
    return this.#snapshot ? Math.max(0, Date.now() - this.#snapshot.takenAt) : null
  }

  /** The engine as long as it answers. */
  get engine(): Engine | undefined {
    return this.#failures === 0 ? this.#engine : undefined
  }

  /** For the metrics; times are null before the first. */
  counters(): RuntimeCounters {
    return {
      cache_updated_at: timestamp(this.#snapshot?.takenAt),
      cache_age_ms: this.ageMs(),
      last_refresh_at: timestamp(this.#counters.lastAt || undefined),
      refresh_count: this.#counters.count,
      refresh_failures: this.#counters.failures,
      last_event_at: timestamp(this.#feed.lastAt),
      events_seen: this.#feed.seen,
    }
  }

  close(): void {
    this.#closed = true
    this.#schedule.close()
    this.#drop()
  }

  /** The snapshot while the engine stands by it: what an engine that is gone once said is no longer known. */
  #current(): Snapshot | undefined {
    const snapshot = this.#look()
    return this.#failures === 0 ? snapshot : undefined
  }

  #look(): Snapshot | undefined {
    if (this.#snapshot && Date.now() - this.#snapshot.takenAt > staleMs) this.#schedule.want(0)
    return this.#snapshot
  }

  /** One list. Returns how long to leave the engine alone after a failure, in milliseconds. */
  async #refresh(): Promise<number | undefined> {
    this.#counters.lastAt = Date.now()
    this.#counters.count++
    const failure = await this.#list().catch((error: unknown) =>
      error instanceof Error ? error : new Error(String(error)),
    )
    if (this.#closed) {
      this.#drop()
      return undefined
    }
    if (failure) return this.#failed(failure)
    this.#succeeded()
    return undefined
  }

  async #list(): Promise<undefined> {
    const known = this.#engine
    const engine =
      known ?? (await Engine.connect(await findEndpoint(this.#options.endpoint), this.#options.deadlineMs ?? 5000))
    this.#engine = engine
    const takenAt = Date.now()
    this.#snapshot = takeSnapshot(await engine.list(), takenAt)
    if (!known && !this.#closed) this.#feed.follow(engine)
  }

  #succeeded(): void {
    if (this.#failures) this.#options.report('Docker answers again')
    this.#failures = 0
    this.#announce()
  }

  #failed(error: Error): number {
    if (!this.#failures) this.#options.report(`Docker does not answer: ${error.message.trim()}`)
    this.#counters.failures++
    this.#absent = ['ENOENT', 'ECONNREFUSED'].includes(systemCode(error) ?? '')
    const failures = this.#failures ?? 0
    this.#failures = failures + 1
    this.#drop()
    return backOff(failures)
  }

  #drop(): void {
    this.#feed.stop()
    this.#engine?.close()
    this.#engine = undefined
  }

  #announce(): void {
    const running = [...(this.#snapshot?.projects.values() ?? [])].filter(isRunning)
    const found = running.flatMap(({ project, working_dir }) =>
      working_dir?.endsWith('/.hack') ? [{ composeProject: project, projectDir: working_dir }] : [],
    )
    const key = ({ composeProject, projectDir }: Discovery) => `${composeProject}\n${projectDir}`
    const fresh = found.filter(discovery => !this.#announced.has(key(discovery)))
    this.#announced.clear()
    for (const discovery of found) this.#announced.add(key(discovery))
    for (const discovery of fresh) this.#options.discovered?.(discovery)
  }
}

const timestamp = (ms: number | undefined) => (ms === undefined ? null : new Date(ms).toISOString())
