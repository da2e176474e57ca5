import type { Config } from '../config.js'
import type { Job } from './job.js'

const dayMs = 24 * 60 * 60 * 1000

/** Finished jobs in the order in which they ended, of which only so many are kept for so long. */
export class Retention {
  readonly #finished: Job[] = []

  /** Takes up jobs that an earlier hackd finished. */
  load(jobs: Job[]): void {
    const end = (job: Job) => job.meta.finishedAt ?? job.meta.updatedAt
    this.#finished.push(...jobs.sort((a, b) => (end(a) < end(b) ? -1 : 1)))
  }

  add(job: Job): void {
    this.#finished.push(job)
  }

  /** Takes out the jobs that are over the limits, oldest first. */
  expire({ jobsMaxCount, jobsMaxAgeDays }: Config['supervisor']): Job[] {
    const oldest = new Date(Date.now() - jobsMaxAgeDays * dayMs).toISOString()
    const tooOld = this.#finished.findIndex(job => (job.meta.finishedAt ?? job.meta.updatedAt) >= oldest)
    const expired = tooOld < 0 ? this.#finished.length : tooOld
    return this.#finished.splice(0, Math.max(expired, this.#finished.length - jobsMaxCount))
  }
}
