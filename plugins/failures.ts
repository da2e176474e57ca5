import type { Socket } from 'node:net'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Failure } from '../schemas/common.js'
import { type ErrorCode, errorTable, GatewayError, isStorageFull } from '../src/errors.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Set here for WebSocket routes. */
    stream?: boolean
  }
}

const fastifyCodes: Record<string, ErrorCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalid_request',
}
const protocolName = /^[!#$%&'*+\-.^_`|~\w]+$/

/** One shape for every failure: `{error, message}`. Registered before all routes: they take the error handler that they find. */
async function failures(app: FastifyInstance) {
  const routes = new RouteTable()
  let isClosing = false

  app.addHook('preClose', done => {
    isClosing = true
    done()
  })
  app.addHook('onRoute', route => {
    routes.add(route.url, [route.method].flat())
    if (!route.websocket && !route.wsHandler) return
    route.config = { ...route.config, stream: true }
    // A route with both handlers is a plain one to whoever does not ask for an upgrade.
    const isTwin = route.wsHandler !== undefined
    const check = async (request: FastifyRequest) => {
      if (!isTwin || request.ws) await requireUpgrade(request)
    }
    route.preValidation = [route.preValidation ?? [], check].flat()
  })
  // After every onRequest hook, so that who may not ask learns nothing of what exists; before the body is read.
  app.addHook('preParsing', (request, reply, payload, done) => {
    if (isClosing) return done(new GatewayError('shutting_down', undefined, { headers: { connection: 'close' } }))
    if (request.is404) return answerUnknown(routes, request, reply, done)
    if (request.ws && !request.routeOptions.config.stream)
      return done(new GatewayError('invalid_request', 'This is no WebSocket route: leave out the Upgrade header.'))
    done(null, payload)
  })

  app.setNotFoundHandler(() => {
    throw new GatewayError('not_found')
  })
  app.setErrorHandler((error: FastifyError, request, reply) => sendFailure(toFailure(error, request), reply))
}

/** Which methods each path takes, for 405. */
class RouteTable {
  readonly #routes: { pattern: RegExp; methods: string[] }[] = []

  add(url: string, methods: string[]): void {
    const segments = url.split('/').map(part => (part.startsWith(':') ? '[^/]+' : part.replace(/[.*+?]/g, '\\$&')))
    this.#routes.push({ pattern: new RegExp(`^${segments.join('/')}$`), methods })
  }

  methodsAt(path: string): string[] {
    return [...new Set(this.#routes.flatMap(({ pattern, methods }) => (pattern.test(path) ? methods : [])))]
  }
}

function answerUnknown(routes: RouteTable, request: FastifyRequest, reply: FastifyReply, done: (error: Error) => void) {
  const allow = routes.methodsAt(request.url.replace(/\?.*$/s, '')).join(', ')
  if (allow === '') return done(new GatewayError('not_found'))
  if (request.method === 'OPTIONS') return void reply.code(204).header('allow', allow).send()
  done(new GatewayError('method_not_allowed', undefined, { headers: { allow } }))
}

function sendFailure(failure: GatewayError, reply: FastifyReply): FastifyReply {
  if (failure.status === 401) reply.header('www-authenticate', 'Bearer')
  const body: Failure = { error: failure.code, message: failure.message }
  return reply.code(failure.status).headers(failure.headers).send(body)
}

function toFailure(error: FastifyError, request: FastifyRequest): GatewayError {
  if (error instanceof GatewayError) return error
  const code = fastifyCodes[error.code]
  if (code) return new GatewayError(code)
  if (isStorageFull(error)) return new GatewayError('storage_full', undefined, { cause: error })
  if (error.code?.startsWith('FST_') && error.statusCode && error.statusCode < 500)
    return new GatewayError('invalid_request', error.message)
  request.log.error({ err: error, requestId: request.id, route: request.routeOptions.url }, 'a request failed')
  return new GatewayError('internal_error', `${errorTable.internal_error[1]} Request id: ${request.id}`)
}

/** What a WebSocket client has to send, judged before the upgrade, while there is an HTTP answer to give. */
async function requireUpgrade({ ws, method, headers }: FastifyRequest): Promise<void> {
  const { upgrade, 'sec-websocket-version': version, 'sec-websocket-key': key } = headers
  if (!ws || method !== 'GET' || upgrade?.toLowerCase() !== 'websocket' || version !== '13')
    throw new GatewayError('upgrade_required', undefined, {
      headers: { upgrade: 'websocket', 'sec-websocket-version': '13' },
    })
  if (!/^[+/0-9A-Za-z]{22}==$/.test(key ?? ''))
    throw new GatewayError('invalid_request', 'Sec-WebSocket-Key must be 16 bytes in base64.')
  const protocols = headers['sec-websocket-protocol']?.split(',').map(name => name.trim()) ?? []
  if (new Set(protocols).size < protocols.length || !protocols.every(name => protocolName.test(name)))
    throw new GatewayError('invalid_request', 'Sec-WebSocket-Protocol must be a list of distinct names.')
}

const malformed: Record<string, [status: string, message: string]> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'The headers are over 16 KiB.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'The request took too long: 10 s for its headers, 30 s in all.'],
}

/** Answers what the HTTP parser refuses. There is no request yet, so the socket itself is written to, and closed. */
export function answerMalformed(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const [status, message] = malformed[error.code ?? ''] ?? ['400 Bad Request', 'This is not HTTP/1.1.']
  const body = JSON.stringify({ error: 'invalid_request', message } satisfies Failure)
  const head = ['content-type: application/json; charset=utf-8', `content-length: ${body.length}`, 'connection: close']
  socket.end(`HTTP/1.1 ${status}\r\n${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}

export default fp(failures, { name: 'failures', fastify: '5.x' })
