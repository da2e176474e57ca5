import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { rawBytes } from '../schemas/common.js'
import { JobFrame } from '../schemas/jobs.js'
import { PsQuery, PsReply, ServiceHello, ServiceLogQuery, ServiceParams } from '../schemas/runtime.js'
import type { Access } from '../src/auth/access.js'
import type { ComposeViews } from '../src/runtime/compose-views.js'
import type { ServiceLogs } from '../src/runtime/service-logs.js'
import type { StreamRegistry } from './streams.js'

export interface RuntimeOptions {
  access: Access
  views: ComposeViews
  logs: ServiceLogs
  streams: StreamRegistry
}

const tags = ['runtime']

interface ServiceLog {
  Params: ServiceParams
  Querystring: ServiceLogQuery
}

/** What runs of a Compose project, and what its services write. */
export default async function runtime(app: FastifyInstance, { access, views, logs, streams }: RuntimeOptions) {
  app.get<{ Querystring: PsQuery }>(
    '/v1/ps',
    {
      schema: {
        tags,
        operationId: 'listContainers',
        summary: 'List the containers of a Compose project',
        querystring: PsQuery,
        response: { 200: PsReply },
      },
    },
    async ({ query, actor }) => views.ps(query, projectId => access.canSee(actor, projectId)),
  )

  app.route<ServiceLog>({
    method: 'GET',
    url: '/control-plane/projects/:projectId/services/:service/logs',
    schema: {
      tags,
      operationId: 'readServiceLog',
      summary: 'Read or follow the log of a Compose service, over HTTP or a WebSocket',
      params: ServiceParams,
      querystring: ServiceLogQuery,
      response: { 200: rawBytes('What the containers of the service wrote.') },
    },
    config: { frames: { client: ServiceHello, server: JobFrame } },
    preHandler: async (request, reply) => {
      logs.check(request.params.projectId, request.params.service, request.query)
      if (request.ws || request.query.follow) streams.reserve(request, reply)
      request.audit.action(request.ws ? 'service.stream' : 'service.logs')
    },
    handler: (request, reply) => sendLog({ logs, streams }, request, reply),
    wsHandler: (socket, request) => {
      const { projectId, service } = request.params
      streams.serve(request, socket, { projectId, write: false }, stream =>
        logs.session(projectId, service, request.query, stream),
      )
    },
  })
}

/** Raw bytes. A log that is followed is a stream like any other: on record before it begins, and ended with its token. */
async function sendLog(
  { logs, streams }: Pick<RuntimeOptions, 'logs' | 'streams'>,
  request: FastifyRequest<ServiceLog>,
  reply: FastifyReply,
) {
  const { params, query, method } = request
  const abort = new AbortController()
  reply.raw.once('close', () => abort.abort())
  reply.type('application/octet-stream').header('x-content-type-options', 'nosniff')
  if (method === 'HEAD') return reply.send(Readable.from([]))
  const bytes = await logs.open(params.projectId, params.service, query, abort.signal)
  if (query.follow) {
    await request.audit.intent()
    streams.hold(request, reply, { projectId: params.projectId, write: false })
  }
  return reply.send(Readable.from(bytes, { objectMode: false }))
}
