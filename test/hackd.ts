import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import type { CreateJob, JobFrame, JobMeta } from '../schemas/jobs.js'
import type { CreateShell, ShellMeta } from '../schemas/shells.js'
import { createToken, type TokenRequest } from '../src/auth/token-file.js'
import { type Home, homeAt, prepareHome } from '../src/home.js'
import { nodeOptions } from '../src/node-options.js'
import { registerProject, setEnabled } from '../src/projects/project-file.js'
import { replaceJson } from '../src/storage/atomic-file.js'
import { eventually } from './eventually.js'
import { enabledConfig, makeRepository } from './projects/repository.js'
import { ShellClient, type ShellClientOptions } from './shell-client.js'
import { type Cleanup, temporaryFolder } from './temporary-folder.js'

const program = fileURLToPath(new URL('../src/main.js', import.meta.url))

export interface HackdOptions {
  /** `controlPlane` of the config file; writes are on unless it says otherwise. */
  config?: { gateway?: object; [section: string]: object | undefined }
  token?: TokenRequest
}

/** A real hackd in a process of its own, on a temporary home with one enabled project. */
export async function startHackd(t: Cleanup, options: HackdOptions = {}): Promise<Hackd> {
  // Hooks run in the order in which they were added: hackd goes before its home does.
  let hackd: Hackd | undefined
  t.after(() => hackd?.stop())
  const base = temporaryFolder(t)
  const home = homeAt(join(base, 'home'))
  prepareHome(home)
  const { gateway, ...sections } = options.config ?? {}
  const controlPlane = { ...sections, gateway: { allowWrites: true, ...gateway } }
  await replaceJson(home.config, { controlPlane })
  const repo = makeRepository(join(base, 'repo'), { config: { name: 'demo', ...enabledConfig } })
  const project = await registerProject(home, repo)
  await setEnabled(home, project.id, true)
  const { token } = await createToken(home, { scope: 'write', ...options.token })
  hackd = new Hackd(home, repo, project.id, token)
  await hackd.start()
  return hackd
}

export class Hackd {
  readonly home: Home
  readonly repo: string
  readonly projectId: string
  readonly token: string
  url = ''
  child: ChildProcess | undefined
  /** Everything it wrote on stderr. */
  log = ''
  #programs = 0

  constructor(home: Home, repo: string, projectId: string, token: string) {
    this.home = home
    this.repo = repo
    this.projectId = projectId
    this.token = token
  }

  /** Starts it, again after a stop or a kill, and waits until it listens. */
  async start(...flags: string[]): Promise<void> {
    const child = spawn(
      process.execPath,
      [...nodeOptions, program, '--home', this.home.root, '--port', '0', ...flags],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        // No engine of this machine, unless the config names one: what runs on it is none of a test's business.
        env: { ...process.env, DOCKER_HOST: 'unix:///nowhere/docker.sock' },
      },
    )
    this.child = child
    child.stderr.setEncoding('utf8').on('data', text => {
      this.log += text
    })
    this.url = ''
    createInterface({ input: child.stdout }).on('line', line => {
      this.url = /^hackd listening on (\S+)$/.exec(line)?.[1] ?? ''
    })
    await eventually('hackd to listen', () => this.url !== '' || child.exitCode !== null)
    if (this.url === '') throw new Error(`hackd did not start:\n${this.log}`)
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    const { child } = this
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null
    child.kill(signal)
    await once(child, 'exit')
    return child.exitCode
  }

  /** Ends its jobs, then itself. */
  async stop(): Promise<void> {
    if (this.child?.exitCode !== null || this.child.signalCode !== null) return
    const { body } = await this.call('GET', this.jobs())
    const open = (body.jobs as JobMeta[]).filter(job => job.finishedAt === undefined)
    await Promise.all(open.map(job => this.call('POST', this.jobs(`/${job.jobId}/cancel`))))
    await this.kill('SIGTERM')
  }

  jobs(rest = ''): string {
    return `/control-plane/projects/${this.projectId}/jobs${rest}`
  }

  shells(rest = ''): string {
    return `/control-plane/projects/${this.projectId}/shells${rest}`
  }

  async createShell(body: CreateShell = {}): Promise<ShellMeta> {
    const reply = await this.call('POST', this.shells(), body)
    if (reply.status !== 201) throw new Error(`${reply.status} ${JSON.stringify(reply.body)}`)
    return reply.body.shell
  }

  /** Opens a shell that runs a POSIX sh program. */
  runInShell(text: string, body: CreateShell = {}): Promise<ShellMeta> {
    const path = join(this.repo, `program-${this.#programs++}`)
    writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 })
    return this.createShell({ ...body, shell: path })
  }

  async shell(shellId: string): Promise<ShellMeta> {
    return (await this.call('GET', this.shells(`/${shellId}`))).body.shell
  }

  /** A client of a shell; frames are kept from the first one on. */
  attach({ shellId }: { shellId: string }, options: ShellClientOptions = {}): ShellClient {
    return new ShellClient(`${this.url.replace('http', 'ws')}${this.shells(`/${shellId}/stream`)}`, {
      token: this.token,
      ...options,
    })
  }

  async call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json')
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text }
  }

  async createJob(body: CreateJob): Promise<JobMeta> {
    const reply = await this.call('POST', this.jobs(), body)
    if (reply.status !== 201) throw new Error(`${reply.status} ${JSON.stringify(reply.body)}`)
    return reply.body.job
  }

  async job(jobId: string): Promise<JobMeta> {
    return (await this.call('GET', this.jobs(`/${jobId}`))).body.job
  }

  async ended(jobId: string): Promise<JobMeta> {
    let job: JobMeta | undefined
    await eventually(
      `the end of job ${jobId}`,
      async () => {
        job = await this.job(jobId)
        return job.finishedAt !== undefined
      },
      60_000,
    )
    return job as JobMeta
  }

  /** Opens a stream; frames are kept from the first one on. */
  stream(jobId: string, token = this.token): JobStream {
    return new JobStream(`${this.url.replace('http', 'ws')}${this.jobs(`/${jobId}/stream`)}`, token)
  }
}

/** A client of a job's stream, as plain as can be. */
export class JobStream {
  readonly socket: WebSocket
  readonly frames: JobFrame[] = []
  readonly closed: Promise<{ code: number; reason: string }>

  constructor(url: string, token: string) {
    this.socket = new WebSocket(url, { headers: { authorization: `Bearer ${token}` } })
    this.socket.on('message', data => this.frames.push(JSON.parse(String(data))))
    this.closed = new Promise((resolve, reject) => {
      this.socket.once('close', (code, reason) => resolve({ code, reason: String(reason) }))
      this.socket.on('error', reject)
    })
    this.closed.catch(() => undefined)
  }

  async hello(logsFrom = 0, eventsFrom = 0): Promise<this> {
    if (this.socket.readyState !== WebSocket.OPEN) await once(this.socket, 'open')
    this.socket.send(JSON.stringify({ type: 'hello', logsFrom, eventsFrom }))
    return this
  }

  /** The first frame of a type, when it is there. */
  async frame<T extends JobFrame['type']>(type: T): Promise<Extract<JobFrame, { type: T }>> {
    const find = () => this.frames.find((frame): frame is Extract<JobFrame, { type: T }> => frame.type === type)
    await eventually(`a ${type} frame`, () => find() !== undefined)
    return find() as Extract<JobFrame, { type: T }>
  }

  get text(): string {
    return this.frames.map(frame => (frame.type === 'log' ? frame.data : '')).join('')
  }

  /** The offset after the last byte that arrived. */
  get offset(): number {
    return this.frames.reduce((offset, frame) => (frame.type === 'log' ? frame.offset : offset), 0)
  }

  get events(): string[] {
    return this.frames.flatMap(frame => (frame.type === 'event' ? [frame.event.type] : []))
  }
}
