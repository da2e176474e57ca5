import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import type { CreateJob, JobEvent, JobMeta } from '../../schemas/jobs.js'
import { noEngine, TestEngine } from '../docker-engine.js'
import { eventually } from '../eventually.js'
import { type Hackd, startHackd } from '../hackd.js'

export let engine: TestEngine
before(async () => {
  if (!noEngine) engine = await TestEngine.start()
})
after(() => engine?.close())

export const engineTest = (name: string, body: (t: TestContext) => Promise<void>) =>
  test(name, { skip: noEngine }, body)

export type Kind = 'service' | 'image'
export const kinds: Kind[] = ['service', 'image']

export interface Place {
  hackd: Hackd
  /** The service's container. */
  container: string
  run(kind: Kind, body: Partial<CreateJob> & { command: string[] }): Promise<JobMeta>
  log(jobId: string): Promise<string>
  events(jobId: string): Promise<JobEvent[]>
}

/** hackd with a project `demo`, whose service `web` runs and sees the project's folder at /code. */
export async function place(t: TestContext, config: { supervisor?: object } = {}): Promise<Place> {
  const runtime = { dockerHost: `unix://${engine.socket}` }
  const hackd = await startHackd(t, { config: { ...config, runtime } })
  mkdirSync(join(hackd.repo, 'sub'))
  const args = ['--label=com.docker.compose.container-number=1', `--volume=${hackd.repo}:/code`]
  const container = await engine.container({ project: 'demo', service: 'web', args }, 'sleep', '3600')
  t.after(() => engine.docker('rm', '--force', container))
  const target = { service: { service: 'web' }, image: { image: engine.image } }
  return {
    hackd,
    container,
    run: (kind, body) => hackd.createJob({ runner: 'docker', docker: target[kind], ...body }),
    log: async jobId => (await hackd.call('GET', hackd.jobs(`/${jobId}/logs`))).body,
    events: async jobId => (await hackd.call('GET', hackd.jobs(`/${jobId}/events`))).body.events,
  }
}

/** Processes of this machine that bear the job's mark: the container's own and those beside it. */
export function survivors(jobId: string): string[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(pid => {
      try {
        if (!readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`HACK_JOB_ID=${jobId}`)) return []
        return [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')}`]
      } catch {
        return []
      }
    })
}

/** Nothing of the job is left: no process, no container. */
export async function assertGone(jobId: string): Promise<void> {
  assert.deepEqual(survivors(jobId), [])
  assert.equal(await engine.docker('ps', '--all', '--quiet', '--filter', `label=hackd.job=${jobId}`), '')
}

export const saysReady = (at: Place, jobId: string) =>
  eventually('it to be ready', async () => (await at.log(jobId)).includes('ready'))
