import { WebSocket } from 'ws'
import type { JobMeta } from '../../schemas/jobs.js'
import { createGatewayClient, type GatewayClient } from '../../src/client/client.js'
import { dataOf, heading, print } from './report.js'
import { runInShell } from './shell.js'

export interface Gateway {
  url: string
  token: string
  /** The first project when absent. */
  projectId?: string | undefined
}

export interface WorkflowOptions {
  /** argv of the job. */
  command: string[]
  /** Without it nothing is started. */
  writes: boolean
  /** Cancels the job. */
  signal?: AbortSignal
}

/** Status, projects, a job with its log and events, a summary, a command in a shell; printed as it happens. False when one of them did not succeed. */
export async function runWorkflow(gateway: Gateway, options: WorkflowOptions): Promise<boolean> {
  const client = createGatewayClient({ baseUrl: gateway.url, token: gateway.token, WebSocket })
  heading('status')
  const status = dataOf(await client.getStatus())
  print(`hackd ${status.version}, pid ${status.pid}, up ${(status.uptime_ms / 1000).toFixed(1)} s`)

  heading('projects')
  const { projects } = dataOf(await client.getProjects())
  for (const project of projects) print(`${project.project_id}  ${project.name}  ${project.status}`)
  const projectId = gateway.projectId ?? projects[0]?.project_id ?? undefined
  if (projectId === undefined) throw new Error('no project is enabled there: hack gateway enable')

  if (!options.writes) {
    heading('jobs')
    const { jobs } = dataOf(await client.listJobs({ projectId, limit: 5 }))
    for (const job of jobs) print(describe(job))
    print(`${jobs.length} shown. Nothing was started: HACK_ALLOW_WRITES=1 runs a job, with a write token.`)
    return true
  }
  const succeeded = await runJob(client, projectId, options)
  if (!succeeded || options.signal?.aborted) return false
  return runInShell(client, { ...gateway, projectId }, 'echo "a shell on $(tty)"')
}

async function runJob(client: GatewayClient, projectId: string, options: WorkflowOptions): Promise<boolean> {
  const { command, signal } = options
  heading('job')
  const { jobId } = dataOf(await client.createJob({ projectId, command, label: 'demo' })).job
  print(`${jobId}  ${command.join(' ')}`)
  signal?.addEventListener('abort', () => void client.cancelJob({ projectId, jobId }), { once: true })

  heading('stream')
  let [offset, seq] = [0, 0]
  const onReconnect = ({ reason }: { reason: string }) => print(`(lost the connection: ${reason}; resuming)`)
  for await (const item of client.streamJob({ projectId, jobId, onReconnect })) {
    if (item.type === 'log') {
      offset = item.offset
      process.stdout.write(item.data)
    } else {
      seq = item.seq
      print(`[${item.event.type}${item.event.payload ? ` ${JSON.stringify(item.event.payload)}` : ''}]`)
    }
  }

  heading('summary')
  const { job } = dataOf(await client.getJob({ projectId, jobId }))
  print(describe(job))
  print(`log offset ${offset} of ${job.logsBytes} bytes, event ${seq} of ${job.lastEventSeq}`)
  return job.status === 'completed'
}

function describe({ jobId, status, exitCode, reason, label }: JobMeta): string {
  const outcome = exitCode === undefined ? reason : `exit code ${exitCode}`
  return [jobId, status, outcome, label].filter(part => part !== undefined).join('  ')
}
