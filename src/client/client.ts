import type { CreateJob, JobEvent, JobMeta, JobsQuery } from '../../schemas/jobs.js'
import type { ProjectList, ProjectsQuery } from '../../schemas/projects.js'
import type { Metrics, Status } from '../../schemas/status.js'
import type { SocketClass, SocketLike } from './socket.js'
import { type StreamJobOptions, streamJob } from './streams.js'

/** Requests never throw: a refusal and a broken connection are values as well. `status` is 0 when nobody answered. */
export type Result<T> =
  | { ok: true; status: number; data: T }
  | { ok: false; status: number; error: { code: string; message: string } }

export interface TransportRequest {
  method: string
  /** Absolute: the base URL and the path with its query. */
  url: string
  headers: Record<string, string>
  body?: string
  signal?: AbortSignal
}

/** Carries one request; it may throw. The default is fetch, which knows no Unix sockets. */
export type Transport = (request: TransportRequest) => Promise<{ status: number; body: string }>

export interface GatewayClientOptions {
  /** Such as http://127.0.0.1:7788 */
  baseUrl: string
  /** A function is asked anew for each request. Absent on the admin socket. */
  token?: string | (() => string | Promise<string>)
  transport?: Transport
  /** For runtimes without a WebSocket of their own, such as Node 20: that of the package `ws`. */
  WebSocket?: SocketClass
}

interface Call {
  method?: 'GET' | 'POST' | 'DELETE'
  path: string
  query?: Record<string, string | number | boolean | undefined>
  body?: unknown
  headers?: Record<string, string>
  signal?: AbortSignal | undefined
}

interface Abortable {
  signal?: AbortSignal
}
type InProject = Abortable & { projectId: string }
type OfJob = InProject & { jobId: string }

export type GatewayClient = ReturnType<typeof createGatewayClient>

export function createGatewayClient(options: GatewayClientOptions) {
  const request = <T>(call: Call) => send<T>(options, call)
  const jobs = ({ projectId }: InProject) => `/control-plane/projects/${encodeURIComponent(projectId)}/jobs`
  const job = (of: OfJob) => `${jobs(of)}/${encodeURIComponent(of.jobId)}`
  const getJob = (of: OfJob) => request<{ job: JobMeta }>({ path: job(of), signal: of.signal })
  return {
    /** For what has no method of its own. */
    request,
    getStatus: ({ signal }: Abortable = {}) => request<Status>({ path: '/v1/status', signal }),
    getMetrics: ({ signal }: Abortable = {}) => request<Metrics>({ path: '/v1/metrics', signal }),
    getProjects: ({ signal, ...query }: Abortable & Partial<ProjectsQuery> = {}) =>
      request<ProjectList>({ path: '/v1/projects', query, signal }),
    listJobs: ({ projectId, signal, ...query }: InProject & JobsQuery) =>
      request<{ jobs: JobMeta[] }>({ path: jobs({ projectId }), query, signal }),
    getJob,
    getJobEvents: ({ from, ...of }: OfJob & { from?: number }) =>
      request<{ events: JobEvent[] }>({ path: `${job(of)}/events`, query: { from }, signal: of.signal }),
    createJob: ({ projectId, signal, idempotencyKey, ...body }: InProject & CreateJob & { idempotencyKey?: string }) =>
      request<{ job: JobMeta }>({
        method: 'POST',
        path: jobs({ projectId }),
        body,
        ...(idempotencyKey === undefined ? {} : { headers: { 'idempotency-key': idempotencyKey } }),
        signal,
      }),
    cancelJob: (of: OfJob) =>
      request<{ status: 'cancelled' }>({ method: 'POST', path: `${job(of)}/cancel`, signal: of.signal }),
    /** A plain WebSocket, on which nothing comes before you send a hello. `streamJob` does more. */
    openJobStream: (of: OfJob) => openSocket(options, `${job(of)}/stream`),
    /** Follows a job to its end, resuming where a lost connection left off. @throws StreamError */
    streamJob: ({ projectId, jobId, ...rest }: OfJob & StreamJobOptions) =>
      streamJob(
        {
          open: () => openSocket(options, `${job({ projectId, jobId })}/stream`),
          look: () => getJob({ projectId, jobId }),
        },
        rest,
      ),
    sendJobInput: ({ data, eof, ...of }: OfJob & { data: string; eof?: boolean }) =>
      request<{ job: JobMeta }>({ method: 'POST', path: `${job(of)}/input`, body: { data, eof }, signal: of.signal }),
  }
}

async function currentToken({ token }: GatewayClientOptions): Promise<string | undefined> {
  return typeof token === 'function' ? token() : token
}

/** The token travels as a subprotocol: browsers cannot set headers, and URLs end up in logs. */
async function openSocket(options: GatewayClientOptions, path: string): Promise<SocketLike> {
  const Socket = options.WebSocket ?? (globalThis as { WebSocket?: SocketClass }).WebSocket
  if (!Socket) throw new Error('There is no WebSocket here: pass the one of the package ws as an option.')
  const token = await currentToken(options)
  const url = baseOf(options).replace(/^http/, 'ws') + path
  return new Socket(url, token === undefined ? ['hack.v1'] : ['hack.v1', `hack.bearer.${token}`])
}

function baseOf({ baseUrl }: GatewayClientOptions): string {
  return baseUrl.replace(/\/+$/, '')
}

async function send<T>(options: GatewayClientOptions, call: Call): Promise<Result<T>> {
  const { transport = viaFetch } = options
  try {
    const token = await currentToken(options)
    const { status, body } = await transport({
      method: call.method ?? 'GET',
      url: baseOf(options) + call.path + queryString(call.query),
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...call.headers,
      },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      ...(call.signal ? { signal: call.signal } : {}),
    })
    return read<T>(status, body)
  } catch (error) {
    const aborted = call.signal?.aborted === true
    return fail(0, aborted ? 'aborted' : 'unreachable', messageOf(error))
  }
}

function read<T>(status: number, body: string): Result<T> {
  const data = parse(body)
  if (status >= 200 && status < 300) {
    return data === undefined
      ? fail(status, 'invalid_answer', 'The answer is not JSON: this is not a gateway.')
      : { ok: true, status, data: data as T }
  }
  const { error, message } = (data ?? {}) as { error?: unknown; message?: unknown }
  return typeof error === 'string' && typeof message === 'string'
    ? fail(status, error, message)
    : fail(status, 'invalid_answer', `The answer ${status} did not come from a gateway.`)
}

function fail(
  status: number,
  code: string,
  message: string,
): { ok: false; status: number; error: { code: string; message: string } } {
  return { ok: false, status, error: { code, message } }
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

/** fetch says only "fetch failed"; why is in its cause. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}

function queryString(query: Call['query'] = {}): string {
  const pairs = Object.entries(query).flatMap(([key, value]) =>
    value === undefined ? [] : [`${encodeURIComponent(key)}=${encodeURIComponent(value)}`],
  )
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
}

const viaFetch: Transport = async ({ url, ...request }) => {
  const response = await fetch(url, request)
  return { status: response.status, body: await response.text() }
}
