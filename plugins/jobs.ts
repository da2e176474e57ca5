import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ProjectParams } from '../schemas/common.js'
import {
  CreateJob,
  CreateJobHeaders,
  EventsQuery,
  JobCancelReply,
  JobEventsReply,
  JobFrame,
  JobHello,
  JobInput,
  JobListReply,
  JobParams,
  JobReply,
  JobsQuery,
  LogHeaders,
  LogReplies,
  LogsQuery,
} from '../schemas/jobs.js'
import type { Requester, Supervisor } from '../src/jobs/supervisor.js'
import type { StreamRegistry } from './streams.js'

export interface JobsOptions {
  supervisor: Supervisor
  streams: StreamRegistry
}

const tags = ['jobs']

interface ForProject {
  Params: ProjectParams
}
interface ForJob {
  Params: JobParams
}

/** Jobs of one project: create, watch, answer and end them. */
export default async function jobs(app: FastifyInstance, { supervisor, streams }: JobsOptions) {
  app.get<ForProject & { Querystring: JobsQuery }>(
    '',
    {
      schema: {
        tags,
        operationId: 'listJobs',
        summary: 'List jobs, newest first',
        params: ProjectParams,
        querystring: JobsQuery,
        response: { 200: JobListReply },
      },
    },
    async ({ params, query }) => ({ jobs: supervisor.list(params.projectId, query) }),
  )

  app.post<ForProject & { Body: CreateJob }>(
    '',
    {
      schema: {
        tags,
        operationId: 'createJob',
        summary: 'Create a job',
        description: 'Repeated with the same `Idempotency-Key` it answers 200 with the first job.',
        params: ProjectParams,
        headers: CreateJobHeaders,
        body: CreateJob,
        response: { 200: JobReply, 201: JobReply },
      },
    },
    async (request, reply) => {
      const key = request.headers['idempotency-key']
      const { job, isNew } = await supervisor.create(
        request.params.projectId,
        request.body,
        requester(request),
        key?.toString(),
      )
      request.audit.action('job.create', { jobId: job.jobId })
      return reply.code(isNew ? 201 : 200).send({ job })
    },
  )

  app.get<ForJob>(
    '/:jobId',
    {
      schema: { tags, operationId: 'getJob', summary: 'Look at a job', params: JobParams, response: { 200: JobReply } },
    },
    async ({ params }) => ({ job: supervisor.get(params.projectId, params.jobId) }),
  )

  app.post<ForJob>(
    '/:jobId/cancel',
    {
      schema: {
        tags,
        operationId: 'cancelJob',
        summary: 'End a job and every process of it',
        params: JobParams,
        response: { 200: JobCancelReply },
      },
    },
    async ({ params, audit }) => {
      audit.action('job.cancel')
      await supervisor.cancel(params.projectId, params.jobId)
      return { status: 'cancelled' }
    },
  )

  app.post<ForJob & { Body: JobInput }>(
    '/:jobId/input',
    {
      schema: {
        tags,
        operationId: 'sendJobInput',
        summary: "Write to a job's stdin, or close it",
        params: JobParams,
        body: JobInput,
        response: { 200: JobReply },
      },
    },
    async ({ params, body, audit }) => {
      audit.action('job.input', { bytesIn: Buffer.byteLength(body.data) })
      return { job: await supervisor.input(params.projectId, params.jobId, body) }
    },
  )

  app.get<ForJob & { Querystring: EventsQuery }>(
    '/:jobId/events',
    {
      schema: {
        tags,
        operationId: 'listJobEvents',
        summary: 'List the events of a job',
        params: JobParams,
        querystring: EventsQuery,
        response: { 200: JobEventsReply },
      },
    },
    async ({ params, query }) => ({ events: await supervisor.events(params.projectId, params.jobId, query.from) }),
  )

  app.get<ForJob & { Querystring: LogsQuery }>(
    '/:jobId/logs',
    {
      schema: {
        tags,
        operationId: 'readJobLog',
        summary: 'Read or follow the log of a job',
        params: JobParams,
        querystring: LogsQuery,
        headers: LogHeaders,
        response: LogReplies,
      },
    },
    (request, reply) => sendLog({ supervisor, streams }, request, reply),
  )

  app.get<ForJob>(
    '/:jobId/stream',
    {
      schema: {
        tags,
        operationId: 'streamJob',
        summary: 'Follow the log and the events of a job over a WebSocket',
        params: JobParams,
      },
      config: { frames: { client: JobHello, server: JobFrame } },
      websocket: true,
      preHandler: async (request, reply) => {
        supervisor.get(request.params.projectId, request.params.jobId)
        streams.reserve(request, reply)
        request.audit.action('job.stream')
      },
    },
    (socket, request) => {
      const { projectId, jobId } = request.params
      streams.serve(request, socket, { projectId, write: false }, stream =>
        supervisor.session(projectId, jobId, stream),
      )
    },
  )
}

function requester({ actor }: FastifyRequest): Requester {
  return actor.kind === 'token' ? { owner: actor.tokenId, local: false } : { owner: 'local', local: true }
}

type LogRequest = FastifyRequest<ForJob & { Querystring: LogsQuery }>

/** Raw bytes. A log that is followed is a stream like any other: on record before it begins, and ended with its token. */
async function sendLog({ supervisor, streams }: JobsOptions, request: LogRequest, reply: FastifyReply) {
  const { params, query, method } = request
  const { signal, ...log } = await openLog(supervisor, request, reply)
  reply.type('application/octet-stream').header('accept-ranges', 'bytes').header('x-content-type-options', 'nosniff')
  if (query.follow) {
    streams.reserve(request, reply)
    request.audit.action('job.follow')
    await request.audit.intent()
    streams.hold(request, reply, { projectId: params.projectId, write: false })
  } else {
    reply.header('content-length', log.end - log.start)
    if (log.partial) reply.code(206).header('content-range', `bytes ${log.start}-${log.end - 1}/${log.size}`)
  }
  if (method === 'HEAD' || signal.aborted) return reply.send(Readable.from([]))
  return reply.send(Readable.from(log.bytes, { objectMode: false }))
}

async function openLog(supervisor: Supervisor, { params, query, headers }: LogRequest, reply: FastifyReply) {
  const abort = new AbortController()
  reply.raw.once('close', () => abort.abort())
  const wanted = { ...query, range: query.follow ? undefined : headers.range }
  const log = await supervisor.openLog(params.projectId, params.jobId, wanted, abort.signal)
  return { ...log, signal: abort.signal }
}
