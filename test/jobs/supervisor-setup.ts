import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { CreateJob, JobMeta } from '../../schemas/jobs.js'
import { type Config, parseConfig } from '../../src/config.js'
import { isOver } from '../../src/jobs/job.js'
import { GenericRunner } from '../../src/jobs/runners/generic.js'
import { Supervisor } from '../../src/jobs/supervisor.js'
import { childEnvironment } from '../../src/processes/environment.js'

export const projectId = '0123456789ab'

export function fixture(name: string): string {
  return fileURLToPath(new URL(`../../../test/fixtures/${name}`, import.meta.url))
}

/** A supervisor on a temporary home, with a project of its own. `again` is the same home under a new supervisor. */
export async function startSupervisor(t: TestContext, change: (config: Config) => void = () => undefined) {
  const home = mkdtempSync(join(tmpdir(), 'hackd-jobs-'))
  const repo = join(home, 'repo')
  mkdirSync(join(repo, '.hack'), { recursive: true })
  const { config } = parseConfig('', '{}')
  config.gateway.allowWrites = true
  config.supervisor.cancelGraceMs = 300
  change(config)
  const listeners = new Set<() => void>()
  const problems: string[] = []
  const onChange = (listener: () => void) => {
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }
  const open = async () => {
    const supervisor = new Supervisor({
      root: join(home, 'jobs'),
      config: { current: config, onChange },
      projects: {
        get: id =>
          id === projectId ? { id, name: 'demo', repoRoot: repo, projectDir: join(repo, '.hack') } : undefined,
        isServed: id => id === projectId,
        onChange: () => () => undefined,
      },
      runners: [new GenericRunner(process.env.PATH)],
      environment: childEnvironment(process.env),
      report: problem => problems.push(problem),
    })
    await supervisor.start()
    t.after(() => supervisor.close())
    return supervisor
  }
  t.after(() => rmSync(home, { recursive: true, force: true, maxRetries: 5 }))
  // hackd's listeners keep its event loop alive; here this does.
  const alive = setInterval(() => undefined, 1000)
  t.after(() => clearInterval(alive))
  const supervisor = await open()
  return {
    supervisor,
    open,
    home,
    repo,
    config,
    problems,
    changed: () => listeners.forEach(listener => void listener()),
  }
}

export async function create(supervisor: Supervisor, body: CreateJob, key?: string): Promise<JobMeta> {
  return (await supervisor.create(projectId, body, { owner: 'test', local: false }, key)).job
}

export async function until<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const deadline = Date.now() + 30_000
  for (;;) {
    const found = await probe()
    if (found !== undefined && found !== false) return found
    if (Date.now() > deadline) throw new Error(`timed out waiting for ${what}`)
    await delay(10)
  }
}

export function ended(supervisor: Supervisor, jobId: string): Promise<JobMeta> {
  return until(`the end of ${jobId}`, () => {
    const meta = supervisor.get(projectId, jobId)
    return isOver(meta) && meta
  })
}

export async function logOf(supervisor: Supervisor, jobId: string): Promise<Buffer> {
  const { bytes } = await supervisor.openLog(
    projectId,
    jobId,
    { follow: false, range: undefined },
    new AbortController().signal,
  )
  const chunks: Buffer[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return Buffer.concat(chunks)
}
