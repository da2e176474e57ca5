import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { JobMeta, JobsQuery } from '../../schemas/jobs.js'
import { GatewayError } from '../errors.js'
import { Job, type JobRecord } from './job.js'
import { JobFolder, plainRequest } from './job-folder.js'
import { isJobId } from './job-id.js'
import { LegacyJobs } from './legacy-jobs.js'

export interface ProjectPlace {
  id: string
  projectDir: string
}

/** All jobs by project, in memory, in the order in which they were made. */
export class JobTable {
  readonly #root: string
  readonly #report: (problem: string) => void
  readonly #projects = new Map<string, Map<string, Job>>()
  readonly #legacy = new Map<string, LegacyJobs>()

  constructor(root: string, report: (problem: string) => void) {
    this.#root = root
    this.#report = report
  }

  /** Reads the records of all jobs. One that is damaged is reported and left on disk. */
  load(): Job[] {
    const loaded: Job[] = []
    for (const projectId of listFolders(this.#root))
      for (const jobId of listFolders(join(this.#root, projectId)).filter(isJobId).sort()) {
        const folder = this.folder(projectId, jobId)
        const meta = folder.loadMeta()
        if (meta && meta.jobId === jobId) loaded.push(this.add(new Job(folder, plainRequest, meta, this.#report)))
        else this.#report(`${folder.path}: meta.json is missing or damaged; the job is not listed`)
      }
    return loaded
  }

  folder(projectId: string, jobId: string): JobFolder {
    return new JobFolder(join(this.#root, projectId, jobId))
  }

  add(job: Job): Job {
    const projectId = job.meta.projectId ?? ''
    const jobs = this.#projects.get(projectId) ?? new Map<string, Job>()
    this.#projects.set(projectId, jobs.set(job.meta.jobId, job))
    return job
  }

  delete(job: Job): void {
    this.#projects.get(job.meta.projectId ?? '')?.delete(job.meta.jobId)
  }

  /** A job of ours. */
  live(projectId: string, jobId: string): Job | undefined {
    return this.#projects.get(projectId)?.get(jobId)
  }

  /** A job of ours or of the project's history. @throws GatewayError job_not_found */
  find(place: ProjectPlace, jobId: string): JobRecord {
    const job = this.live(place.id, jobId) ?? (isJobId(jobId) ? this.#history(place).get(jobId) : undefined)
    if (!job) throw new GatewayError('job_not_found')
    return job
  }

  /** Newest first. */
  list(place: ProjectPlace, { status, limit, before }: JobsQuery): JobMeta[] {
    const live = this.#projects.get(place.id)
    const past = [...this.#history(place).values()].filter(job => !live?.has(job.meta.jobId))
    const all = [...past, ...(live?.values() ?? [])].map(job => job.meta).sort(byAge)
    const from = before === undefined ? 0 : all.findIndex(meta => meta.jobId === before) + 1
    if (before !== undefined && from === 0) throw new GatewayError('job_not_found', `There is no job ${before}.`)
    const rest = all.slice(from).filter(meta => status === undefined || meta.status === status)
    return limit === undefined ? rest : rest.slice(0, limit)
  }

  *all(): Generator<Job> {
    for (const jobs of this.#projects.values()) yield* jobs.values()
  }

  #history(place: ProjectPlace): ReadonlyMap<string, JobRecord> {
    const legacy = this.#legacy.get(place.id) ?? new LegacyJobs(place.id, place.projectDir)
    this.#legacy.set(place.id, legacy)
    return legacy.all()
  }
}

function byAge(a: JobMeta, b: JobMeta): number {
  if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt ? 1 : -1
  return a.jobId < b.jobId ? 1 : -1
}

function listFolders(path: string): string[] {
  try {
    return lstatSync(path).isDirectory()
      ? readdirSync(path, { withFileTypes: true })
          .filter(entry => entry.isDirectory())
          .map(entry => entry.name)
      : []
  } catch {
    return []
  }
}
