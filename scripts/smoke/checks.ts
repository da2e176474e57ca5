import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { createGatewayClient, type Result } from '../../src/client/client.js'

export interface Target {
  url: string
  projectId: string
  token: string
}

export interface Check {
  name: string
  /** Throws what is wrong. */
  run(): Promise<unknown>
}

/** hackd promises a second; a loaded machine is given more. */
const revokedWithinMs = 5000
const jobMs = 60_000

export function readChecks({ url, projectId, token }: Target): Check[] {
  const client = createGatewayClient({ baseUrl: url, token })
  const withToken = (other?: string) =>
    createGatewayClient({ baseUrl: url, ...(other === undefined ? {} : { token: other }) })
  return [
    {
      name: 'nothing is told without a token',
      run: async () => expectRefusal(await withToken().getStatus(), 401, 'missing_token'),
    },
    {
      name: 'a wrong token is refused',
      run: async () => expectRefusal(await withToken('hack_wrong').getStatus(), 401, 'invalid_token'),
    },
    { name: 'GET /v1/status', run: async () => assert.equal(dataOf(await client.getStatus()).status, 'ok') },
    { name: 'GET /v1/metrics', run: async () => assert.equal(dataOf(await client.getMetrics()).status, 'ok') },
    {
      name: 'GET /v1/projects lists this project and no other',
      run: async () => {
        const { projects } = dataOf(await client.getProjects({ include_global: true }))
        assert.deepEqual(
          projects.map(project => project.project_id),
          [projectId],
        )
      },
    },
    { name: 'the jobs are listed', run: async () => dataOf(await client.listJobs({ projectId })) },
    {
      name: 'an unknown job is 404',
      run: async () => expectRefusal(await client.getJob({ projectId, jobId: 'none' }), 404, 'job_not_found'),
    },
    {
      name: 'a foreign project is 403',
      run: async () => expectRefusal(await client.listJobs({ projectId: 'ffffffffffff' }), 403, 'project_disabled'),
    },
    {
      name: 'a read token starts nothing',
      run: async () => {
        const result = await client.createJob({ projectId, command: ['true'] })
        assert.ok(!result.ok && result.status === 403, 'a job was created')
      },
    },
  ]
}

export function writeChecks({ url, projectId, token }: Target): Check[] {
  const client = createGatewayClient({ baseUrl: url, token, WebSocket })
  const finish = async (command: string[]) => {
    const { jobId } = dataOf(await client.createJob({ projectId, command, label: 'smoke test', timeoutMs: jobMs })).job
    let log = ''
    const events: string[] = []
    for await (const item of client.streamJob({ projectId, jobId, signal: AbortSignal.timeout(jobMs) }))
      if (item.type === 'log') log += item.data
      else events.push(item.event.type)
    return { log, events, job: dataOf(await client.getJob({ projectId, jobId })).job }
  }
  return [
    {
      name: 'a job runs, its log and events stream, its exit code is known',
      run: async () => {
        const { log, events, job } = await finish(['sh', '-c', 'echo smoke; exit 7'])
        assert.equal(log, 'smoke\n')
        assert.deepEqual([events.at(0), events.at(-1)], ['job.created', 'job.failed'])
        assert.deepEqual([job.status, job.exitCode, job.logsBytes], ['failed', 7, 6])
      },
    },
    {
      name: 'a job is cancelled',
      run: async () => {
        const { jobId } = dataOf(await client.createJob({ projectId, command: ['sleep', '60'] })).job
        dataOf(await client.cancelJob({ projectId, jobId }))
        assert.equal(dataOf(await client.getJob({ projectId, jobId })).job.status, 'cancelled')
      },
    },
    {
      name: 'bad input is refused with a code',
      run: async () => expectRefusal(await client.createJob({ projectId, command: [] }), 400),
    },
  ]
}

export function revocationCheck({ url, token }: Target, revoke: () => Promise<unknown>): Check {
  return {
    name: 'a revoked token is refused',
    run: async () => {
      const client = createGatewayClient({ baseUrl: url, token })
      dataOf(await client.getStatus())
      await revoke()
      const deadline = performance.now() + revokedWithinMs
      let result = await client.getStatus()
      while (result.ok && performance.now() < deadline) {
        await delay(50)
        result = await client.getStatus()
      }
      expectRefusal(result, 401, 'invalid_token')
    },
  }
}

function expectRefusal(result: Result<unknown>, status: number, code?: string): void {
  assert.ok(!result.ok, `it was answered with ${result.status}`)
  assert.equal(result.status, status)
  if (code !== undefined) assert.equal(result.error.code, code)
}

function dataOf<T>(result: Result<T>): T {
  if (result.ok) return result.data
  throw new Error(`${result.status} ${result.error.code}: ${result.error.message}`)
}
