import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type TestContext, test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { buildTestApp, type TestAppOptions } from './build-app.js'
import { eventually } from './eventually.js'
import { runScript } from './scripts/run-script.js'

const project = '0123456789ab'
const jobs = `/control-plane/projects/${project}/jobs`
const host = { host: 'localhost' }

interface Operation {
  operationId: string
  summary: string
  tags: string[]
  responses: Record<string, { content?: Record<string, { schema: object }> }>
  parameters?: { name: string; in: string; required: boolean }[]
  'x-frames'?: { client: object; server: object }
}

interface Document {
  openapi: string
  tags: { name: string }[]
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, { properties?: object }> }
}

async function setUp(t: TestContext, options: TestAppOptions = {}) {
  const config = { gateway: { allowWrites: true, console: true } }
  const { app, bearer } = await buildTestApp(t, { projects: [project], config, ...options })
  const headers = { ...host, ...bearer }
  const reply = await app.inject({ url: '/openapi.json', headers })
  assert.equal(reply.statusCode, 200, reply.body)
  return { app, headers, document: reply.json<Document>() }
}

function operations({ paths }: Document): Operation[] {
  return Object.values(paths).flatMap(methods => Object.values(methods))
}

/** The routes of every app that is built while a test runs, as Fastify announces them. */
function watchRoutes(t: TestContext): Set<string> {
  const routes = new Set<string>()
  const onInit = (message: unknown) => {
    const { fastify } = message as { fastify: FastifyInstance }
    fastify.addHook('onRoute', ({ method, url }) => {
      for (const name of [method].flat()) if (name !== 'HEAD') routes.add(`${name} ${url}`)
    })
  }
  subscribe('fastify.initialization', onInit)
  t.after(() => unsubscribe('fastify.initialization', onInit))
  return routes
}

test('the document lists exactly the routes that there are', async t => {
  const routes = watchRoutes(t)
  const { document } = await setUp(t)
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
  )
  assert.ok(routes.size > 15)
  assert.deepEqual(described.sort(), [...routes].sort())
})

test('each operation has a name of its own, a summary, a tag that is explained, and failures in one shape', async t => {
  const { document } = await setUp(t)
  const all = operations(document)
  for (const { operationId, summary, tags, responses } of all) {
    assert.match(operationId, /^[a-z][A-Za-z]+$/)
    assert.ok(summary.length > 0, operationId)
    assert.ok(
      tags.every(tag => document.tags.some(({ name }) => name === tag)),
      operationId,
    )
    for (const status of ['400', '401', '403', '429', '500', '503']) assert.ok(responses[status], operationId)
    for (const [status, { content }] of Object.entries(responses))
      if (Number(status) >= 400)
        assert.deepEqual(content?.['application/json']?.schema, { $ref: '#/components/schemas/Failure' })
  }
  assert.equal(new Set(all.map(({ operationId }) => operationId)).size, all.length)
})

test('WebSocket routes are described with the frames that go each way', async t => {
  const { document } = await setUp(t)
  const stream = document.paths['/control-plane/projects/{projectId}/jobs/{jobId}/stream']?.get
  assert.deepEqual(stream?.['x-frames'], {
    client: { $ref: '#/components/schemas/JobHello' },
    server: { $ref: '#/components/schemas/JobFrame' },
  })
  assert.ok(stream.responses['426'])
  for (const { operationId, responses, 'x-frames': frames } of operations(document))
    assert.equal(frames !== undefined, responses['101'] !== undefined, operationId)
})

test('what has a default need not be sent, and what is for hackd alone is left out', async t => {
  const { document } = await setUp(t)
  const required = operations(document).flatMap(({ operationId, parameters = [] }) =>
    parameters.filter(one => one.required && one.in !== 'path').map(({ name }) => `${operationId} ${name}`),
  )
  assert.deepEqual(required, ['listContainers compose_project'])
  assert.doesNotMatch(JSON.stringify(document), /x-missing|x-invalid/)
})

test('answers match what the document says of them', async t => {
  const { app, headers, document } = await setUp(t)
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  ajv.addSchema(document, 'document')
  const pointer = (...keys: string[]) =>
    keys.map(key => encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')
  const check = async (path: string, wanted: number, request: InjectOptions) => {
    const { method = 'GET' } = request
    const reply = await app.inject({ headers, ...request })
    const what = `${method} ${request.url}: ${reply.statusCode} ${reply.body}`
    assert.equal(reply.statusCode, wanted, what)
    const [type = ''] = String(reply.headers['content-type']).split(';')
    const at = pointer('paths', path, method.toLowerCase(), 'responses', String(wanted), 'content', type, 'schema')
    const matches = ajv.compile({ $ref: `document#/${at}` })
    assert.ok(
      matches(type === 'application/json' ? reply.json() : reply.body),
      `${what} ${ajv.errorsText(matches.errors)}`,
    )
    return reply
  }
  const at = (path: string) => `/control-plane/projects/{projectId}/jobs${path}`

  for (const path of ['/v1/status', '/v1/metrics', '/metrics', '/v1/projects', '/v1/audit', '/openapi.json', '/docs'])
    await check(path, 200, { url: path })
  for (const path of ['/v1/status', '/v1/audit']) await check(path, 401, { url: path, headers: host })
  await check('/v1/ps', 400, { url: '/v1/ps' })
  await check('/v1/ps', 403, { url: '/v1/ps?compose_project=strangers' })
  await check('/v1/status', 403, { url: '/v1/status', headers: { host: 'evil.example' } })
  await check(at(''), 403, { url: '/control-plane/projects/ffffffffffff/jobs' })

  const post = { method: 'POST', url: jobs } as const
  await check(at(''), 400, { ...post, payload: { command: [] } })
  await check(at(''), 413, { ...post, payload: { command: ['x'.repeat(2 ** 20)] } })
  await check(at(''), 415, { ...post, payload: 'text', headers: { ...headers, 'content-type': 'text/plain' } })
  const once = { ...post, headers: { ...headers, 'idempotency-key': 'one' }, payload: { command: ['echo', 'hello'] } }
  const { jobId } = (await check(at(''), 201, once)).json().job
  await check(at(''), 200, once)
  await check(at(''), 409, { ...once, payload: { command: ['true'] } })
  const get = async (path: string) => (await app.inject({ url: `${jobs}/${jobId}${path}`, headers })).json()
  await eventually('the job ends', async () => (await get('')).job.status === 'completed')

  await check(at(''), 200, { url: jobs })
  await check(at('/{jobId}'), 200, { url: `${jobs}/${jobId}` })
  await check(at('/{jobId}'), 404, { url: `${jobs}/absent` })
  await check(at('/{jobId}/events'), 200, { url: `${jobs}/${jobId}/events` })
  await check(at('/{jobId}/logs'), 200, { url: `${jobs}/${jobId}/logs` })
  const range = (value: string) => ({ url: `${jobs}/${jobId}/logs`, headers: { ...headers, range: value } })
  await check(at('/{jobId}/logs'), 206, range('bytes=0-1'))
  await check(at('/{jobId}/logs'), 416, range('bytes=100-'))
  await check(at('/{jobId}/cancel'), 409, { method: 'POST', url: `${jobs}/${jobId}/cancel` })
  await check(at('/{jobId}/input'), 409, { method: 'POST', url: `${jobs}/${jobId}/input`, payload: { data: 'x' } })
  await check(at('/{jobId}/stream'), 426, { url: `${jobs}/${jobId}/stream` })
})

test('the script writes the same document, and ends', async t => {
  const { document } = await setUp(t)
  const { code, stdout, stderr } = await runScript('openapi', {}, undefined, ['-'])
  assert.equal(code, 0, stderr)
  const written = JSON.parse(stdout)
  assert.deepEqual(written.paths, document.paths)
  assert.deepEqual(written.components, document.components)
  assert.notEqual(written.info.version, '')
})
