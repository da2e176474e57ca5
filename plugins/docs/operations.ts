import { STATUS_CODES } from 'node:http'
import type { TSchema } from '@sinclair/typebox'
import type { FastifySchema, RouteOptions } from 'fastify'
import { Failure } from '../../schemas/common.js'
import { type ErrorCode, errorTable } from '../../src/errors.js'

/** The JSON of text frames, by who sends them. */
export interface Frames {
  client: TSchema
  server: TSchema
}

type Route = Pick<RouteOptions, 'method' | 'url' | 'schema' | 'config' | 'websocket' | 'wsHandler'>

/** What a route can fail with, by what it is. */
const rules: [applies: (route: Route) => boolean, codes: ErrorCode[]][] = [
  [
    () => true,
    [
      'invalid_request',
      'missing_token',
      'invalid_token',
      'host_not_allowed',
      'origin_not_allowed',
      'rate_limited',
      'internal_error',
      'shutting_down',
    ],
  ],
  [({ url }) => url.includes('/:projectId'), ['project_disabled']],
  [({ url }) => url.includes('/:jobId'), ['job_not_found']],
  [({ url }) => url.includes('/:shellId'), ['shell_not_found']],
  [({ config }) => config?.open === true, ['not_found']],
  [route => isWrite(route) || route.config?.write === true, ['writes_disabled', 'write_scope_required']],
  [isWrite, ['invalid_json', 'body_too_large', 'unsupported_media_type', 'storage_full']],
  [route => isWrite(route) || isStream(route), ['audit_unavailable']],
  [isStream, ['too_many_streams']],
  [({ websocket }) => websocket === true, ['upgrade_required']],
]

/** What only this one can fail with. */
const ownCodes: Record<string, ErrorCode[]> = {
  listContainers: ['project_disabled', 'runtime_unavailable'],
  readServiceLog: ['not_found', 'runtime_unavailable'],
  listJobs: ['job_not_found'],
  createJob: ['unknown_runner', 'idempotency_conflict', 'queue_full'],
  cancelJob: ['job_not_running'],
  sendJobInput: ['job_not_running', 'stdin_closed', 'queue_full'],
  readJobLog: ['offset_out_of_range'],
  createShell: ['too_many_shells'],
  endShell: ['shell_not_running'],
}

const failureHeaders: Record<number, object> = {
  401: { 'WWW-Authenticate': { type: 'string', description: '`Bearer`.' } },
  416: { 'Content-Range': { type: 'string', description: '`bytes */SIZE`.' } },
  426: { Upgrade: { type: 'string', description: '`websocket`.' } },
  429: { 'Retry-After': { type: 'integer', description: 'Seconds to wait, with `rate_limited`.' } },
}

/** A route's schema as the document needs it: with every answer that it can give, and its frames. */
export function describe(route: Route): FastifySchema {
  const { schema = {}, config } = route
  const upgrades = route.websocket === true || route.wsHandler !== undefined
  return {
    ...schema,
    hide: false,
    ...(schema.querystring !== undefined && { querystring: withoutDefaulted(schema.querystring as TSchema) }),
    response: {
      ...(upgrades && { 101: { type: 'null', description: 'The stream begins: see `x-frames`.' } }),
      ...answers((schema.response ?? {}) as Record<string, TSchema>),
      ...failures(route),
    },
    ...(config?.frames && { 'x-frames': config.frames }),
  }
}

function isWrite({ method }: Route): boolean {
  return method !== 'GET'
}

function isStream({ websocket, wsHandler, schema }: Route): boolean {
  const query = schema?.querystring as TSchema | undefined
  return websocket === true || wsHandler !== undefined || query?.properties.follow !== undefined
}

/** What has a default need not be sent. */
function withoutDefaulted(schema: TSchema): TSchema {
  const required = (schema.required as string[] | undefined)?.filter(
    name => schema.properties[name].default === undefined,
  )
  return { ...schema, required: required ?? [] }
}

function answers(schemas: Record<string, TSchema>): Record<string, object> {
  const entries = Object.entries(schemas).map(([status, schema]) => {
    if ('content' in schema) return [status, schema]
    const description = schema.description ?? STATUS_CODES[status]
    return [status, { description, content: { 'application/json': { schema } } }]
  })
  return Object.fromEntries(entries)
}

function failures(route: Route): Record<number, object> {
  const { schema = {} } = route
  const general = rules.flatMap(([applies, codes]) => (applies(route) ? codes : []))
  const own = ownCodes[schema.operationId ?? ''] ?? []
  const codes = new Set([...general, ...codesIn(schema.body), ...codesIn(schema.querystring), ...own])
  const statuses = new Set([...codes].map(code => errorTable[code][0]))
  return Object.fromEntries(
    [...statuses].map(status => [
      status,
      failure(
        status,
        [...codes].filter(code => errorTable[code][0] === status),
      ),
    ]),
  )
}

function failure(status: number, codes: ErrorCode[]): object {
  return {
    description: codes.map(code => `- \`${code}\`: ${errorTable[code][1]}`).join('\n'),
    ...(failureHeaders[status] && { headers: failureHeaders[status] }),
    content: { 'application/json': { schema: Failure } },
  }
}

/** The codes that a schema names for what is missing or wrong in it. */
function codesIn(schema: unknown): ErrorCode[] {
  if (typeof schema !== 'object' || schema === null) return []
  return Object.entries(schema).flatMap(([key, value]) =>
    key === 'x-missing' || key === 'x-invalid' ? [value as ErrorCode] : codesIn(value),
  )
}
