import type { Job } from './job.js'

export interface JobQueueOptions {
  /** How many jobs of one project may run at once. */
  slots: () => number
  /** False for a job that has to wait for more than a slot. */
  mayStart: (job: Job) => boolean
  start: (job: Job) => void
}

/** Which jobs wait, in order, and which hold a slot of their project. */
export class JobQueue {
  readonly #options: JobQueueOptions
  readonly #waiting = new Set<Job>()
  readonly #running = new Map<string, Set<Job>>()

  constructor(options: JobQueueOptions) {
    this.#options = options
  }

  get waiting(): number {
    return this.#waiting.size
  }

  add(job: Job): void {
    this.#waiting.add(job)
  }

  /** Starts whatever may start. */
  advance(): void {
    const slots = this.#options.slots()
    for (const job of this.#waiting) {
      if (this.#slotsOf(job).size >= slots || !this.#options.mayStart(job)) continue
      this.#waiting.delete(job)
      this.#options.start(job)
    }
  }

  occupy(job: Job): void {
    this.#slotsOf(job).add(job)
  }

  release(job: Job): void {
    this.#slotsOf(job).delete(job)
    this.advance()
  }

  /** Cancels a job that waits; false for one that does not. */
  async cancel(job: Job): Promise<boolean> {
    if (!this.#waiting.delete(job)) return false
    return job.transition(
      'cancelled',
      'job.cancelled',
      { signal: null },
      { finishedAt: new Date().toISOString(), logsBytes: 0 },
    )
  }

  #slotsOf(job: Job): Set<Job> {
    const projectId = job.meta.projectId ?? ''
    const slots = this.#running.get(projectId) ?? new Set()
    this.#running.set(projectId, slots)
    return slots
  }
}
