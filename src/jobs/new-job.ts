import type { CreateJob, JobMeta } from '../../schemas/jobs.js'
import { containerTarget } from './container-target.js'
import type { JobRequest } from './job-folder.js'

/** What the supervisor has to know of a project. */
export interface JobProject {
  id: string
  name: string
  repoRoot: string
  projectDir: string
}

export interface NewJob {
  jobId: string
  runner: string
  project: JobProject
  /** Absolute, symlinks resolved. */
  cwd: string
  body: CreateJob
  /** Asked for through the admin socket. */
  local: boolean
}

/** The first record of a job, and what was asked for beyond it. @throws GatewayError invalid_request */
export function newRecord({ jobId, runner, project, cwd, body, local }: NewJob): {
  meta: JobMeta
  request: JobRequest
} {
  const now = new Date().toISOString()
  const meta: JobMeta = {
    jobId,
    status: 'queued',
    runner,
    command: body.command,
    projectId: project.id,
    projectName: project.name,
    createdAt: now,
    updatedAt: now,
    lastEventSeq: 0,
    cwd,
    ...(body.label === undefined ? {} : { label: body.label }),
  }
  const { env = {}, stdin = false, timeoutMs } = body
  const request: JobRequest = { environment: env, stdin, local }
  const container = containerTarget(body, project)
  if (timeoutMs !== undefined) request.timeoutMs = timeoutMs
  if (container) request.container = container
  return { meta, request }
}
