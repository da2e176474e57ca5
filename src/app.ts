import { randomBytes } from 'node:crypto'
import websocket from '@fastify/websocket'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import audit from '../plugins/audit.js'
import auth from '../plugins/auth.js'
import docs from '../plugins/docs.js'
import failures, { answerMalformed } from '../plugins/failures.js'
import input from '../plugins/input.js'
import jobs from '../plugins/jobs.js'
import projectRoutes from '../plugins/projects.js'
import runtimeRoutes from '../plugins/runtime.js'
import shellRoutes from '../plugins/shells.js'
import status from '../plugins/status.js'
import { StreamRegistry } from '../plugins/streams.js'
import type { Services } from './services.js'

export interface AppOptions {
  /** `local` is the admin socket: no token, no Host rule, no limits; its file mode is the guard. */
  door: 'tcp' | 'local'
  /** Where the TCP door listens, for the local one to tell; null while it does not. */
  url?: () => string | null
}

const bodyLimit = 2 ** 20
const frameLimit = 2 ** 20
const headersTimeout = 10_000
const requestTimeout = 30_000
const connectionsCheckingInterval = 1000
/** Longer than any header Node accepts: a long parameter is just an unknown one. */
const maxParamLength = 2 ** 15

/** The whole URL map. Every route is inside the scope that the hooks of audit, auth and failures cover; both doors serve all. */
export async function buildApp(services: Services, { door, url }: AppOptions): Promise<FastifyInstance> {
  const { config, log, hosts, verifier, access, budget, lastUsed, tokens, projects, supervisor, shells } = services
  const streams = new StreamRegistry({ access, config })
  const app: FastifyInstance = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: logger => logger,
    genReqId: requestIds(),
    trustProxy: config.current.gateway.trustProxy ? ['loopback', 'linklocal', 'uniquelocal'] : false,
    bodyLimit,
    requestTimeout,
    // keepAlive: a peer that is gone without a word is noticed, also while a log that is followed says nothing.
    http: { headersTimeout, connectionsCheckingInterval, requireHostHeader: false, keepAlive: true },
    return503OnClosing: false,
    rewriteUrl: ({ url = '/' }) => (isDecodable(url) ? url : '/'),
    routerOptions: { maxParamLength },
    clientErrorHandler: answerMalformed,
  })

  await app.register(websocket, {
    options: { maxPayload: frameLimit, perMessageDeflate: false, handleProtocols: selectProtocol },
    // A protocol error has its own close code (RFC 6455, §7.4.1), which ws sends; cutting the socket here would lose it.
    errorHandler: (error, _socket, request) =>
      request.log.debug({ err: error, requestId: request.id }, 'a stream broke'),
    preClose: done => void streams.close().then(() => done()),
  })
  const stops = [config, tokens, projects].map(source => source.onChange(() => streams.recheck()))
  app.addHook('onClose', async () => void stops.forEach(stop => void stop()))
  await app.register(input)
  await app.register(failures)
  await app.register(docs, { config, version: services.version })
  await app.register(audit, { door, audit: services.audit })
  await app.register(auth, { door, config, hosts, verifier, access, budget, lastUsed })

  await app.register(status, {
    version: services.version,
    startedAt: services.startedAt,
    url,
    runtime: services.runtime,
    gauges: () => ({ streamsActive: streams.active, jobs: supervisor.counts(), shells: shells.counts() }),
  })
  await app.register(projectRoutes, { prefix: '/v1/projects', views: services.projectViews })
  await app.register(runtimeRoutes, { access, views: services.composeViews, logs: services.serviceLogs, streams })
  await app.register(jobs, { prefix: '/control-plane/projects/:projectId/jobs', supervisor, streams })
  await app.register(shellRoutes, {
    prefix: '/control-plane/projects/:projectId/shells',
    shells,
    projects,
    streams,
  })
  return app
}

/** Unique over restarts, and cheap. */
function requestIds(): () => string {
  const start = randomBytes(6).toString('base64url')
  let count = 0
  return () => `${start}-${++count}`
}

function isDecodable(url: string): boolean {
  if (!url.includes('%')) return true
  try {
    decodeURIComponent(url.replace(/\?.*$/s, ''))
    return true
  } catch {
    return false
  }
}

/** Never the one that bears the token: it would come back in a header. */
function selectProtocol(offered: Set<string>): string | false {
  return offered.has('hack.v1') && 'hack.v1'
}
