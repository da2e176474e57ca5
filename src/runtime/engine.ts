import { access } from 'node:fs/promises'
import { Agent } from 'node:http'
import { Agent as SecureAgent } from 'node:https'
import { addAbortSignal, type Readable } from 'node:stream'
import type Docker from 'dockerode'
import type { ContainerInfo } from 'dockerode'
import type { Endpoint } from './endpoint.js'
import { composeLabels } from './snapshot.js'
import { SshAgent } from './ssh-agent.js'

/** One engine as seen through one endpoint. Every call has a deadline; a stream has one until it begins. */
export class Engine {
  readonly docker: Docker
  readonly #agent: Agent
  readonly #deadlineMs: number

  private constructor(docker: Docker, agent: Agent, deadlineMs: number) {
    this.docker = docker
    this.#agent = agent
    this.#deadlineMs = deadlineMs
  }

  /** Where nobody listens, dockerode is not even loaded: it is the largest of hackd's dependencies. @throws ENOENT */
  static async connect(endpoint: Endpoint, deadlineMs: number): Promise<Engine> {
    if (endpoint.kind === 'unix') await access(endpoint.path)
    const { default: DockerClient } = await import('dockerode')
    const { agent, options } = connection(endpoint)
    // Every key is given, since dockerode fills those that are missing from its own look at the environment.
    const unset = { host: undefined, port: undefined, ca: undefined, cert: undefined, key: undefined }
    const settings = { ...unset, ...options, agent, timeout: undefined, pathPrefix: '/', sshOptions: {} }
    return new Engine(new DockerClient(settings), agent, deadlineMs)
  }

  /** All containers of Compose projects, stopped ones too. */
  async list(): Promise<ContainerInfo[]> {
    const rows: unknown = await this.call('list of containers', abortSignal =>
      this.docker.listContainers({ all: true, filters: { label: [composeLabels.project] }, abortSignal }),
    )
    if (!Array.isArray(rows)) throw new Error('the engine answered with something that is no list of containers')
    return rows as ContainerInfo[]
  }

  /**
   * The stream of container events, JSON lines. There is no deadline: some engines answer only with the first event.
   * @param since seconds since the epoch by the engine's clock
   */
  async events(since: number | undefined, signal: AbortSignal): Promise<Readable> {
    const filters = { type: ['container' as const], label: [composeLabels.project] }
    const stream = await this.docker.getEvents({ filters, ...(since && { since }), abortSignal: signal })
    return addAbortSignal(signal, stream as Readable)
  }

  /** A GET whose answer is read as a stream. @throws Error with the engine's own sentence. */
  open(what: string, path: string, query: object): Promise<Readable> {
    return this.call(
      what,
      abortSignal =>
        new Promise((resolve, reject) => {
          const statusCodes = { 200: true, 404: 'not found', 500: 'server error' }
          const request = { method: 'GET', path: `${path}?`, options: query, isStream: true, statusCodes, abortSignal }
          this.docker.modem.dial(request, (error, body) => (error ? reject(error) : resolve(body as Readable)))
        }),
    )
  }

  /** Runs one call. A late answer is dropped together with its connection. */
  async call<T>(what: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new Error(`${what}: no answer within ${this.#deadlineMs} ms`))
        controller.abort()
      }, this.#deadlineMs)
    })
    try {
      return await Promise.race([work(controller.signal), late])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Ends every call and stream. */
  close(): void {
    this.#agent.destroy()
  }
}

function connection(endpoint: Endpoint): { agent: Agent; options: Docker.DockerOptions } {
  const keepAlive = { keepAlive: true, keepAliveMsecs: 15_000 }
  if (endpoint.kind === 'unix')
    return { agent: new Agent(keepAlive), options: { socketPath: endpoint.path, protocol: 'http' } }
  if (endpoint.kind === 'ssh') return { agent: new SshAgent(endpoint), options: { host: 'docker', protocol: 'http' } }
  const { host, port, tls } = endpoint
  if (!tls) return { agent: new Agent(keepAlive), options: { host, port, protocol: 'http' } }
  return { agent: new SecureAgent({ ...keepAlive, ...tls }), options: { host, port, protocol: 'https', ...tls } }
}
