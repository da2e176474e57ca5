import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify'
import fp from 'fastify-plugin'
import type { TokenRecord } from '../schemas/auth.js'
import type { Access } from '../src/auth/access.js'
import type { Actor } from '../src/auth/actor.js'
import type { HostRules } from '../src/auth/host-rules.js'
import type { LastUsed } from '../src/auth/last-used.js'
import type { RequestBudget } from '../src/auth/request-budget.js'
import type { Verifier } from '../src/auth/verifier.js'
import type { LiveConfig } from '../src/config.js'
import { type ErrorCode, GatewayError } from '../src/errors.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is asking. Absent only on `open` routes. */
    actor: Actor
  }
  interface FastifyContextConfig {
    /** A GET that needs a write token and allowWrites, as a shell stream does. Other methods do without saying so. */
    write?: boolean
    /** Static files without data: served without a token while `gateway.console` is on. */
    open?: boolean
  }
}

export interface AuthOptions {
  door: 'tcp' | 'local'
  config: LiveConfig
  hosts: HostRules
  verifier: Verifier
  access: Access
  budget: RequestBudget
  lastUsed: LastUsed
}

type Done = HookHandlerDoneFunction
type Hook = (request: FastifyRequest, reply: FastifyReply, done: Done) => void

const minuteMs = 60_000
const localActor: Actor = { kind: 'local' }
const safeMethods = ['GET', 'HEAD', 'OPTIONS']
const corsReplyHeaders = 'Retry-After, Allow, WWW-Authenticate, Accept-Ranges, Content-Range, Content-Disposition'
const preflightHeaders = {
  'access-control-allow-methods': 'GET, HEAD, POST, DELETE',
  'access-control-allow-headers': 'authorization, x-hack-token, content-type, idempotency-key, range',
  'access-control-max-age': '600',
}

/** Who is asking, and may they. The hooks run in the order in which refusals take precedence. */
async function auth(app: FastifyInstance, { door, config, hosts, verifier, access, budget, lastUsed }: AuthOptions) {
  await app.register(rateLimit, { global: false })
  const countFailure = app.createRateLimit({
    max: () => config.current.gateway.rateLimit.failedAuthPerMinute,
    timeWindow: minuteMs,
  })

  const checkHost: Hook = (request, reply, done) => {
    const { host, origin } = request.raw.headers
    if (!hosts.allowsHost(host)) return done(new GatewayError('host_not_allowed'))
    if (origin === undefined) return done()
    if (!hosts.allowsOrigin(origin, host)) return done(new GatewayError('origin_not_allowed'))
    reply.headers({ 'access-control-allow-origin': origin, vary: 'Origin' })
    if (isPreflight(request)) return answerPreflight(request, reply)
    reply.header('access-control-expose-headers', corsReplyHeaders)
    done()
  }

  const identify: Hook = (request, _reply, done) => {
    const token = presentedToken(request)
    if (token === undefined) return isOpen(request) ? done() : refuse(request, 'missing_token', done)
    const record = token === '' ? undefined : verifier.check(token)
    if (!(record instanceof Promise)) return admit(request, record, done)
    record.then(verified => admit(request, verified, done), done)
  }

  function admit(request: FastifyRequest, record: TokenRecord | undefined, done: Done) {
    if (!record) return refuse(request, 'invalid_token', done)
    const { id, scope, projects } = record
    request.actor = { kind: 'token', tokenId: id, scope, ...(projects && { projects }) }
    lastUsed.mark(id)
    done()
  }

  function refuse(request: FastifyRequest, code: ErrorCode, done: Done) {
    countFailure(request).then(count => done(excess(count) ?? new GatewayError(code)), done)
  }

  function isOpen(request: FastifyRequest): boolean {
    return request.routeOptions.config.open === true && config.current.gateway.console
  }

  const limit: Hook = (request, _reply, done) => {
    if (request.actor?.kind !== 'token') return done()
    const waitSeconds = budget.spend(request.actor.tokenId)
    done(waitSeconds > 0 ? tooMany(waitSeconds) : undefined)
  }

  const checkProject: Hook = (request, _reply, done) => {
    const { projectId = request.is404 ? projectIn(request) : undefined } = request.params as { projectId?: string }
    if (projectId !== undefined) access.requireProject(request.actor, projectId)
    done()
  }

  const checkWrite: Hook = (request, _reply, done) => {
    if (!safeMethods.includes(request.method)) access.requireWrite(request.actor)
    done()
  }

  const admitLocal: Hook = (request, _reply, done) => {
    request.actor = localActor
    done()
  }

  app.decorateRequest('actor')
  const hooks = door === 'local' ? [admitLocal] : [checkHost, identify, limit]
  for (const hook of [...hooks, checkProject, checkWrite]) app.addHook('onRequest', hook)
  app.addHook('onRoute', route => {
    if (!route.config?.write) return
    const requireWrite = async ({ actor }: FastifyRequest) => access.requireWrite(actor)
    route.onRequest = [requireWrite, route.onRequest ?? []].flat()
  })
}

type Count = Awaited<ReturnType<ReturnType<FastifyInstance['createRateLimit']>>>

function excess(count: Count): GatewayError | undefined {
  if (count.isAllowed || !count.isExceeded) return undefined
  return tooMany(count.ttlInSeconds)
}

function tooMany(waitSeconds: number): GatewayError {
  return new GatewayError('rate_limited', undefined, { headers: { 'retry-after': String(waitSeconds) } })
}

/** The one token that a request presents; undefined for none, '' when it is malformed, misplaced or contradicted by another. */
function presentedToken(request: FastifyRequest): string | undefined {
  const { authorization, 'x-hack-token': header } = request.headers
  const tokens: string[] = []
  if (authorization !== undefined) tokens.push(bearerToken(authorization))
  if (header !== undefined) tokens.push(String(header))
  if (request.url.includes('?')) {
    const { token } = request.query as { token?: string | string[] }
    if (token !== undefined) tokens.push(request.ws ? String(token) : '')
  }
  if (request.ws) tokens.push(...protocolTokens(request))
  return tokens.every(token => token === tokens[0]) ? tokens[0] : ''
}

function bearerToken(authorization: string): string {
  return /^bearer /i.test(authorization) ? authorization.slice('bearer '.length).trim() : ''
}

function protocolTokens({ headers }: FastifyRequest): string[] {
  const protocols = headers['sec-websocket-protocol']?.split(',').map(name => name.trim()) ?? []
  return protocols.flatMap(name => (name.startsWith('hack.bearer.') ? [name.slice('hack.bearer.'.length)] : []))
}

/** Unknown paths below a project are refused like known ones: the answer must not tell which projects exist. */
function projectIn(request: FastifyRequest): string | undefined {
  const [, segment] = /^\/control-plane\/projects\/([^/?]+)/.exec(request.url) ?? []
  return segment === undefined ? undefined : decodeURIComponent(segment)
}

function isPreflight({ method, headers }: FastifyRequest): boolean {
  return method === 'OPTIONS' && headers['access-control-request-method'] !== undefined
}

function answerPreflight(request: FastifyRequest, reply: FastifyReply): void {
  reply.headers(preflightHeaders)
  if (request.headers['access-control-request-private-network'] === 'true')
    reply.header('access-control-allow-private-network', 'true')
  reply.code(204).send()
}

export default fp(auth, { name: 'auth', fastify: '5.x' })
