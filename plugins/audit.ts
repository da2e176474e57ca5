import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { type AuditEntry, AuditPage, AuditQuery } from '../schemas/audit.js'
import type { AuditRecord } from '../src/audit/audit-line.js'
import type { AuditLog } from '../src/audit/audit-log.js'

declare module 'fastify' {
  interface FastifyRequest {
    audit: AuditTrail
  }
}

export interface AuditOptions {
  door: 'tcp' | 'local'
  audit: AuditLog
}

type Fields = Partial<
  Pick<AuditEntry, 'status' | 'jobId' | 'shellId' | 'action' | 'bytesIn' | 'bytesOut' | 'durationMs'>
>

/** nginx's status for a client that left before its answer. */
const clientLeft = 499
const longestId = 64
const safeMethods = ['GET', 'HEAD', 'OPTIONS']

/** What one request or stream leaves on record: an intent if it changes anything, and exactly one result. */
export class AuditTrail {
  readonly #log: AuditLog
  readonly #request: FastifyRequest
  readonly #reply: FastifyReply
  readonly #remoteAddress: string
  #fields: Fields | undefined
  #hasIntent = false
  #isFinished = false
  #isAbandoned = false
  #isTaken = false
  #deeds = 0

  constructor(log: AuditLog, request: FastifyRequest, reply: FastifyReply, isLocal: boolean) {
    this.#log = log
    this.#request = request
    this.#reply = reply
    // Asked now: a socket that is gone has no address.
    this.#remoteAddress = isLocal ? 'unix' : plainAddress(request.ip ?? 'unknown')
  }

  /** Names what is done, and adds what the URL does not say, such as the id of a new job. */
  action(name: string, fields: Fields = {}): void {
    this.#fields = { ...this.#fields, ...fields, action: name }
  }

  /** Resolves when the intent is on disk. @throws GatewayError `audit_unavailable` */
  async intent(): Promise<void> {
    await this.#log.persist(Object.assign(this.#record('intent'), this.#fields))
    this.#hasIntent = true
  }

  /** Writes the result, once. A stream calls this when it closes; for others it happens when the answer has been sent. */
  finish(fields?: Fields): void {
    if (this.#isFinished) return
    this.#isFinished = true
    const record = this.#record('result')
    record.status = this.#status()
    record.durationMs = Math.round(this.#reply.elapsedTime * 100) / 100
    if (this.#fields || fields) Object.assign(record, this.#fields, fields)
    if (record.status === 429 && !this.#hasIntent) this.#log.sumRefusal(record)
    else this.#log.record(record)
  }

  /** Something done inside a stream that is on record by itself: only once its intent is. @throws GatewayError `audit_unavailable` */
  async deed(action: string, act: () => unknown): Promise<void> {
    const id = `${this.#request.id}.${++this.#deeds}`
    await this.#log.persist({ ...this.#record('intent'), id, action })
    try {
      await act()
    } finally {
      this.#log.record({ ...this.#record('result'), id, action })
    }
  }

  /** A stream that is served writes its result itself: only it knows what went in and out. */
  takeOver(): void {
    this.#isTaken = true
  }

  /** The connection is done. A write goes on without its client: what came of it is known when its answer is ready. */
  closed(): void {
    if (this.#isTaken) return
    if (this.#hasIntent && !this.#request.ws && !this.#reply.raw.headersSent) this.#isAbandoned = true
    else this.finish()
  }

  /** The answer is ready, though nobody may be there to read it. */
  answered(): void {
    if (this.#isAbandoned) this.finish({ status: this.#reply.statusCode })
  }

  #status(): number {
    if (this.#reply.raw.headersSent) return this.#reply.raw.statusCode
    return this.#request.ws ? 101 : clientLeft
  }

  #record(phase: 'intent' | 'result'): AuditRecord {
    const request = this.#request
    const { projectId, jobId, shellId } = (request.params ?? {}) as Record<string, string | undefined>
    return {
      at: Date.now(),
      id: request.id,
      phase,
      tokenId: request.actor?.kind === 'token' ? request.actor.tokenId : undefined,
      method: request.method,
      path: request.originalUrl,
      status: undefined,
      remoteAddress: this.#remoteAddress,
      userAgent: request.headers['user-agent'],
      durationMs: undefined,
      projectId: projectId?.slice(0, longestId),
      jobId: jobId?.slice(0, longestId),
      shellId: shellId?.slice(0, longestId),
    }
  }
}

/** An IPv4 address as such, also when it came in over a socket that takes both kinds. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address
}

/** Every request and stream, on record. Registered before auth, so that refusals are as well. */
async function audit(app: FastifyInstance, { audit: log, door }: AuditOptions) {
  app.decorateRequest('audit')
  app.addHook('onRequest', (request, reply, done) => {
    const trail = new AuditTrail(log, request, reply, door === 'local')
    request.audit = trail
    // Comes for answers, aborted requests and upgraded connections; `onResponse` comes for the first alone.
    reply.raw.on('close', () => trail.closed())
    done()
  })
  app.addHook('onRoute', route => {
    const isSafe = [route.method].flat().every(method => safeMethods.includes(method))
    const isStream = (route.websocket || route.wsHandler !== undefined) && route.method === 'GET'
    if (isSafe && !isStream) return
    const intent = async (request: FastifyRequest) => {
      if (!isSafe || request.ws) await request.audit.intent()
    }
    const answered = async (request: FastifyRequest) => request.audit.answered()
    route.preHandler = [route.preHandler ?? [], intent].flat()
    route.onSend = [route.onSend ?? [], answered].flat()
  })

  app.get<{ Querystring: AuditQuery }>(
    '/v1/audit',
    {
      schema: {
        tags: ['audit'],
        operationId: 'listAudit',
        summary: 'List audit entries, newest first',
        description: 'A read token sees its own entries only.',
        querystring: AuditQuery,
        response: { 200: AuditPage },
      },
    },
    ({ actor, query }) =>
      log.search(query, actor.kind === 'token' && actor.scope === 'read' ? actor.tokenId : undefined),
  )
}

export default fp(audit, { name: 'audit', fastify: '5.x' })
