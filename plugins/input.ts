import { isUtf8 } from 'node:buffer'
import { Kind, type TObject, type TSchema } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { Value, type ValueError } from '@sinclair/typebox/value'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { type ErrorCode, errorTable, GatewayError } from '../src/errors.js'

const deepestJson = 32

/** What comes in: JSON bodies, and the schemas that bodies, queries, params and headers have to match. */
async function input(app: FastifyInstance) {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    if (body.length === 0) return done(null, undefined)
    if (!isUtf8(body)) return done(new GatewayError('invalid_json', 'The body is not UTF-8.'))
    const text = body.toString()
    if (isDeeper(text, deepestJson))
      return done(new GatewayError('invalid_json', `The body is nested more than ${deepestJson} levels deep.`))
    parse(request, text, (error, value) =>
      error
        ? done(new GatewayError('invalid_json', `The body is not valid JSON: ${error.message}`))
        : done(null, value),
    )
  })
  app.setValidatorCompiler<TSchema>(({ schema, httpPart }) => compile(schema, httpPart ?? 'body'))
  app.setSerializerCompiler(() => data => JSON.stringify(data))
}

/** Counts open brackets outside strings, without parsing. */
function isDeeper(json: string, limit: number): boolean {
  let depth = 0
  let inString = false
  for (let at = 0; at < json.length; at++) {
    const char = json.charCodeAt(at)
    if (inString) {
      if (char === 0x5c) at++
      else if (char === 0x22) inString = false
    } else if (char === 0x22) inString = true
    else if (char === 0x5b || char === 0x7b) {
      if (++depth > limit) return true
    } else if (char === 0x5d || char === 0x7d) depth--
  }
  return false
}

type Verdict = { value: unknown } | { error: Error }

function compile(schema: TSchema, part: string): (data: unknown) => Verdict {
  const checker = TypeCompiler.Compile(schema)
  return data => {
    // A body that was left out is an empty one: what is missing then has a name.
    const given = part === 'body' ? (data ?? {}) : fromText(schema, data)
    const value = Value.Default(schema, given)
    if (checker.Check(value)) return { value }
    const violation = checker.Errors(value).First()
    return { error: violation ? describe(schema, part, violation) : new GatewayError('invalid_request') }
  }
}

/** Queries, params and headers are text: numbers and booleans are read where the schema wants them, and strictly. */
function fromText(schema: TSchema, data: unknown): unknown {
  if (schema[Kind] !== 'Object' || typeof data !== 'object' || data === null) return data
  const values: Record<string, unknown> = { ...data }
  for (const [name, property] of Object.entries((schema as TObject).properties)) {
    const text = values[name]
    if (typeof text !== 'string') continue
    if (property.type === 'integer' && /^-?\d{1,15}$/.test(text)) values[name] = Number(text)
    if (property.type === 'number' && /^-?\d{1,15}(\.\d{1,9})?$/.test(text)) values[name] = Number(text)
    if (property.type === 'boolean' && /^(true|false|1|0)$/.test(text)) values[name] = text === 'true' || text === '1'
  }
  return values
}

/** The failure of the first violation: its code is what the schema says in `x-missing` or `x-invalid`, its message names the field. */
function describe(root: TSchema, part: string, { path, message, value, schema }: ValueError): GatewayError {
  const keys = path.split('/').slice(1).map(unescapePointer)
  const isMissing = value === undefined || (Array.isArray(value) && value.length === 0)
  const code = codeOf(root, keys, isMissing) ?? 'invalid_request'
  const field = keys.map((key, at) => (/^\d+$/.test(key) ? `[${key}]` : `${at > 0 ? '.' : ''}${key}`)).join('')
  const where = field === '' ? `The ${part}` : `"${field.slice(0, 100)}" in the ${part}`
  const why =
    typeof value === 'string' && schema.pattern?.includes('\\u0000')
      ? 'must not contain NUL bytes'
      : lowerFirst(message)
  const hint = code === 'invalid_request' ? '' : ` ${errorTable[code][1]}`
  return new GatewayError(code, `${where}: ${why}.${hint}`)
}

function codeOf(root: TSchema, keys: string[], isMissing: boolean): ErrorCode | undefined {
  let schema: TSchema | undefined = root
  let code: ErrorCode | undefined
  for (const [depth, key] of keys.entries()) {
    schema = (schema?.properties as Record<string, TSchema> | undefined)?.[key] ?? schema?.items
    if (isMissing && depth === keys.length - 1 && schema?.['x-missing']) return schema['x-missing']
    code = schema?.['x-invalid'] ?? code
  }
  return code
}

function unescapePointer(key: string): string {
  return key.replaceAll('~1', '/').replaceAll('~0', '~')
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}

export default fp(input, { name: 'input', fastify: '5.x' })
