import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { buildTestApp } from '../build-app.js'
import { eventually } from '../eventually.js'

const project = '0123456789ab'
const things = `/control-plane/projects/${project}/things`
const writable = { projects: [project], config: { gateway: { allowWrites: true } }, extend }

const Thing = Type.Object({
  command: Type.Array(Type.String({ pattern: '^[^\\u0000]*$' }), { minItems: 1, 'x-missing': 'missing_command' }),
  cwd: Type.Optional(Type.String({ 'x-invalid': 'invalid_cwd', default: '.' })),
  env: Type.Optional(
    Type.Record(Type.String({ pattern: '^[A-Z]+$' }), Type.String(), {
      additionalProperties: false,
      'x-invalid': 'invalid_env',
    }),
  ),
  size: Type.Optional(Type.Integer({ minimum: 1 })),
})
const Query = Type.Object({
  limit: Type.Optional(Type.Integer({ minimum: 1 })),
  follow: Type.Boolean({ default: false }),
})

function extend(app: FastifyInstance) {
  const path = '/control-plane/projects/:projectId/things'
  app.post(path, { schema: { body: Thing } }, async ({ body }) => ({ body }))
  app.get(path, { schema: { querystring: Query } }, async ({ query }) => ({ query }))
  app.get(`${path}/:thingId/stream`, { websocket: true }, socket => socket.close(1000))
  app.get(`${path}/broken`, async () => {
    throw new Error('a secret detail')
  })
  app.get(`${path}/full`, async () => {
    throw Object.assign(new Error('write'), { code: 'ENOSPC' })
  })
}

async function listen(app: FastifyInstance): Promise<number> {
  await app.listen({ port: 0, host: '127.0.0.1' })
  return (app.server.address() as AddressInfo).port
}

/** Sends bytes over a socket of their own and returns all that comes back until the server closes it. */
async function speak(t: TestContext, port: number, ...texts: string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  t.after(() => socket.destroy())
  let answer = ''
  socket.on('data', data => {
    answer += data
  })
  for (const text of texts) socket.write(text)
  await once(socket, 'close')
  return answer
}

function parse(answer: string): { status: number; head: string; body: { error: string; message: string } } {
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  return { status: Number(head.split(' ')[1]), head, body: JSON.parse(body) }
}

test('unknown paths, wrong methods with what is allowed, and OPTIONS', async t => {
  const { app, bearer: headers } = await buildTestApp(t, writable)
  const ask = (method: 'GET' | 'PUT' | 'DELETE' | 'OPTIONS' | 'HEAD' | 'POST', url: string) =>
    app.inject({ method, url, headers })
  const nothing = await ask('GET', '/v1/nothing')
  assert.deepEqual([nothing.statusCode, nothing.json().error], [404, 'not_found'])
  for (const [method, url, allow] of [
    ['PUT', things, 'POST, GET, HEAD'],
    ['DELETE', '/v1/status?x=1', 'GET, HEAD'],
  ] as const) {
    const refused = await ask(method, url)
    assert.deepEqual([refused.statusCode, refused.json().error], [405, 'method_not_allowed'])
    assert.equal(refused.headers.allow, allow)
  }
  const options = await ask('OPTIONS', '/v1/status')
  assert.deepEqual([options.statusCode, options.headers.allow], [204, 'GET, HEAD'])
  assert.equal((await ask('OPTIONS', '/v1/nothing')).statusCode, 404)
  const head = await ask('HEAD', '/v1/status')
  assert.deepEqual([head.statusCode, head.body], [200, ''])
  assert.equal((await ask('POST', '/v1/nothing')).statusCode, 404, 'before its body is looked at')
})

test('bodies that are no JSON, too deep, poisoned, too big or of another type', async t => {
  const { app, bearer } = await buildTestApp(t, writable)
  const post = async (payload: string | Buffer, type = 'application/json') => {
    const headers = { ...bearer, 'content-type': type }
    const { statusCode, body } = await app.inject({ method: 'POST', url: things, headers, payload })
    return `${statusCode} ${JSON.parse(body).error}`
  }
  const nested = (depth: number) => `{"command":["x"],"more":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`
  for (const bad of [
    '{',
    '{"command":["x"],}',
    '',
    'nonsense',
    '{"command":["x"]} {}',
    Buffer.from([0x22, 0xff, 0x22]),
  ])
    assert.match(await post(bad), bad === '' ? /missing_command/ : /^400 invalid_json/, String(bad))
  assert.equal(await post('{"command":["x"],"__proto__":{"a":1}}'), '400 invalid_json')
  assert.equal(await post('{"command":["x"],"a":{"constructor":{"prototype":{}}}}'), '400 invalid_json')
  assert.equal(await post(nested(33)), '400 invalid_json')
  assert.equal(await post(nested(32)), '200 undefined')
  assert.equal(await post('['.repeat(500_000)), '400 invalid_json')
  assert.equal(await post(`{"command":["${'['.repeat(100)}\\""]}`), '200 undefined', 'brackets in strings are no depth')
  assert.equal(await post(`{"command":["${'x'.repeat(2 ** 20)}"]}`), '413 body_too_large')
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'nonsense'])
    assert.equal(await post('{"command":["x"]}', type), '415 unsupported_media_type', type)
  assert.equal(await post('{"command":["x"]}', 'application/json; charset=utf-8'), '200 undefined')
})

test('a violation names its field, and has the code that the schema says', async t => {
  const { app, bearer: headers } = await buildTestApp(t, writable)
  const post = async (payload?: object | string) => {
    const { body } = await app.inject({ method: 'POST', url: things, headers, ...(payload && { payload }) })
    const { error, message } = JSON.parse(body)
    return `${error}: ${message}`
  }
  assert.match(await post(), /^missing_command/)
  assert.match(await post({}), /^missing_command: "command" in the body: .*required/)
  assert.match(await post({ command: [] }), /^missing_command/)
  assert.match(await post({ command: 'ls' }), /^invalid_request: "command" in the body: expected array/)
  assert.match(await post({ command: ['a', 7] }), /^invalid_request: "command\[1\]" in the body: expected string/)
  assert.match(await post({ command: ['a\0b'] }), /^invalid_request: "command\[0\]".*NUL/)
  assert.match(await post({ command: ['a'], cwd: 7 }), /^invalid_cwd: "cwd"/)
  assert.match(await post({ command: ['a'], env: { 'BAD-KEY': 'x' } }), /^invalid_env: "env.BAD-KEY"/)
  assert.match(await post({ command: ['a'], env: { GOOD: 7 } }), /^invalid_env: "env.GOOD"/)
  assert.match(await post({ command: ['a'], size: '7' }), /^invalid_request: "size"/, 'bodies are not converted')
  const array = await app.inject({ method: 'POST', url: things, headers, payload: ['x'] })
  assert.equal(array.json().error, 'invalid_request')
  const filled = await app.inject({ method: 'POST', url: things, headers, payload: { command: ['a'] } })
  assert.deepEqual(filled.json().body, { command: ['a'], cwd: '.' })
})

test('queries are read strictly', async t => {
  const { app, bearer: headers } = await buildTestApp(t, writable)
  const get = async (query: string) => {
    const { body } = await app.inject({ url: `${things}?${query}`, headers })
    return JSON.parse(body)
  }
  assert.deepEqual((await get('limit=7&follow=1')).query, { limit: 7, follow: true })
  assert.deepEqual((await get('')).query, { follow: false })
  for (const bad of ['limit=0', 'limit=1.5', 'limit=1e3', 'limit=0x10', 'limit=', 'limit=7&limit=8', 'follow=maybe'])
    assert.match((await get(bad)).message, /^"(limit|follow)" in the query/, bad)
})

test('an unforeseen failure shows an id and no detail; a full disk is named', async t => {
  const { app, bearer: headers, logged } = await buildTestApp(t, writable)
  const broken = await app.inject({ url: `${things}/broken`, headers })
  assert.deepEqual([broken.statusCode, broken.json().error], [500, 'internal_error'])
  assert.ok(!/secret detail|\.js|\\n/.test(broken.body))
  const [, id] = /Request id: (\S+)/.exec(broken.json().message) ?? []
  assert.ok(id && logged.some(line => line.includes(id) && line.includes('a secret detail')))
  const full = await app.inject({ url: `${things}/full`, headers })
  assert.deepEqual([full.statusCode, full.json().error], [507, 'storage_full'])
})

test('a stream route without an upgrade is 426, and an upgrade elsewhere is no 101', async t => {
  const { app, bearer, token } = await buildTestApp(t, writable)
  for (const method of ['GET', 'HEAD'] as const) {
    const plain = await app.inject({ method, url: `${things}/1/stream`, headers: bearer })
    assert.equal(plain.statusCode, 426)
    assert.equal(plain.headers.upgrade, 'websocket')
    if (method === 'GET') assert.equal(plain.json().error, 'upgrade_required')
  }
  const port = await listen(app)
  const key = 'sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n'
  const ask = async (line: string, headers: string) => {
    const common = `host: localhost\r\nconnection: upgrade\r\nauthorization: Bearer ${token}\r\n`
    const { status, body } = parse(await speak(t, port, `${line} HTTP/1.1\r\n${common}${headers}\r\n`))
    return `${status} ${body.error}`
  }
  assert.equal(await ask('GET /v1/status', `upgrade: websocket\r\n${key}`), '400 invalid_request')
  assert.equal(await ask('GET /v1/status', 'upgrade: h2c\r\n'), '400 invalid_request')
  assert.equal(await ask(`POST ${things}`, `upgrade: websocket\r\ncontent-length: 2\r\n${key}`), '400 invalid_request')
  assert.equal(await ask('GET /nowhere', `upgrade: websocket\r\n${key}`), '404 not_found')
  assert.equal(await ask(`GET ${things}/1/stream`, 'upgrade: h2c\r\n'), '426 upgrade_required')
  const stream = `GET ${things}/1/stream`
  assert.equal(await ask(stream, 'upgrade: websocket\r\nsec-websocket-version: 12\r\n'), '426 upgrade_required')
  assert.equal(await ask(stream, 'upgrade: websocket\r\nsec-websocket-version: 13\r\n'), '400 invalid_request')
  assert.equal(await ask(stream, `upgrade: websocket\r\n${key}sec-websocket-protocol: a, a\r\n`), '400 invalid_request')
})

test('what is no HTTP is answered in our shape, and the connection closed', async t => {
  const { app } = await buildTestApp(t)
  const port = await listen(app)
  for (const text of [
    'nonsense\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    'GET /a b HTTP/1.1\r\nhost: x\r\n\r\n',
    '\x16\x03\x01\x02\n\r\n',
  ]) {
    const { status, head, body } = parse(await speak(t, port, text))
    assert.deepEqual([status, body.error], [400, 'invalid_request'], JSON.stringify(text))
    assert.match(head, /connection: close/i)
  }
  const huge = await speak(t, port, `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)
  assert.equal(parse(huge).status, 431)
  const nameless = await speak(t, port, 'GET /v1/status HTTP/1.1\r\nconnection: close\r\n\r\n')
  assert.deepEqual([parse(nameless).status, parse(nameless).body.error], [403, 'host_not_allowed'])
  const smuggled =
    'POST /v1/status HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'
  assert.equal(parse(await speak(t, port, smuggled)).status, 400)
})

test('headers that never end are given up after ten seconds', async t => {
  const { app } = await buildTestApp(t)
  const port = await listen(app)
  const started = performance.now()
  const { status, body } = parse(await speak(t, port, 'GET /v1/status HTTP/1.1\r\nhost: localhost\r\nx: '))
  const seconds = (performance.now() - started) / 1000
  assert.deepEqual([status, body.error], [408, 'invalid_request'])
  assert.ok(seconds >= 9 && seconds < 25, `after ${seconds} s`)
})

test('while hackd shuts down a kept connection is told so', async t => {
  let release = () => {}
  const gate = new Promise<void>(resolve => {
    release = resolve
  })
  let held = 0
  const { app, token } = await buildTestApp(t, {
    extend: app =>
      app.get('/slow', async () => {
        held++
        await gate
        return { slow: true }
      }),
  })
  const port = await listen(app)
  const request = `host: localhost\r\nauthorization: Bearer ${token}\r\n\r\n`
  const socket = connect(port, '127.0.0.1')
  let answer = ''
  socket.on('data', data => {
    answer += data
  })
  socket.write(`GET /slow HTTP/1.1\r\n${request}`)
  await eventually('the state of the door to change', () => held === 1)
  const closing = app.close()
  await eventually('the state of the door to change', async () => {
    const refused = await app
      .inject({ url: '/v1/status', headers: { authorization: `Bearer ${token}` } })
      .catch(() => undefined)
    return refused === undefined || refused.statusCode === 503
  })
  socket.write(`GET /v1/status HTTP/1.1\r\n${request}`)
  release()
  await once(socket, 'close')
  await closing
  assert.match(answer, /200 OK.*"slow":true.*503 Service Unavailable.*shutting_down/s)
})
