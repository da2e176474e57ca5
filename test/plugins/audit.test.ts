import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, readFile, rename, rmdir } from 'node:fs/promises'
import { type AddressInfo, connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import WebSocket from 'ws'
import type { AuditEntry } from '../../schemas/audit.js'
import { verifyAudit } from '../../src/audit/audit-check.js'
import { createToken } from '../../src/auth/token-file.js'
import { buildTestApp, type TestAppOptions } from '../build-app.js'
import { eventually } from '../eventually.js'

const project = '0123456789ab'
const base = `/control-plane/projects/${project}`

async function setUp(t: TestContext, options: TestAppOptions = {}) {
  const gates: (() => void)[] = []
  const extend = (app: FastifyInstance) => {
    app.post('/control-plane/projects/:projectId/things', async ({ audit }) => {
      audit.action('thing.create', { jobId: 'made' })
      return { onDisk: (await entries()).at(-1)?.phase }
    })
    for (const method of ['GET', 'POST'] as const)
      app.route({
        method,
        url: '/control-plane/projects/:projectId/slow',
        handler: async (_request, reply) => {
          await new Promise<void>(resolve => gates.push(resolve))
          return reply.code(202).send({})
        },
      })
    app.get('/control-plane/projects/:projectId/jobs/:jobId/echo', { websocket: true }, (socket, { audit }) => {
      audit.takeOver()
      socket.on('close', () => audit.finish({ bytesIn: 3, bytesOut: 5 }))
    })
  }
  const config = { gateway: { allowWrites: true } }
  const test = await buildTestApp(t, { projects: [project], config, extend, ...options })
  const entries = async (): Promise<AuditEntry[]> => {
    const text = await readFile(test.services.home.audit, 'utf8').catch(() => '')
    return text.split('\n').flatMap(line => (line === '' ? [] : [JSON.parse(line)]))
  }
  const flushed = async () => {
    await test.services.audit.flush()
    return entries()
  }
  return { ...test, entries: flushed, gates }
}

async function listen(app: FastifyInstance): Promise<number> {
  await app.listen({ port: 0, host: '127.0.0.1' })
  return (app.server.address() as AddressInfo).port
}

test('a read leaves one line, a denial as well', async t => {
  const { app, bearer, token, entries, services } = await setUp(t)
  const headers = { ...bearer, 'user-agent': 'test/1' }
  await app.inject({ url: '/v1/status?x=1', headers })
  await app.inject({ url: '/v1/status', headers: { authorization: 'Bearer wrong' } })
  await app.inject({ url: '/v1/status', headers: { host: 'evil.example.com' } })
  await app.inject({ url: '/nowhere', headers: bearer })
  await app.inject({ method: 'POST', url: '/control-plane/projects/other/things', headers: bearer, payload: {} })
  await eventually('the state of the door to change', async () => (await entries()).length === 5)
  const lines = await entries()
  const [read] = lines
  assert.deepEqual(
    { ...read, ts: '', id: '', prev: '', durationMs: 0 },
    {
      ts: '',
      id: '',
      phase: 'result',
      tokenId: token.slice(5, 17),
      method: 'GET',
      path: '/v1/status?x=1',
      status: 200,
      remoteAddress: '127.0.0.1',
      userAgent: 'test/1',
      durationMs: 0,
      prev: '',
    },
  )
  assert.deepEqual(
    lines.map(({ phase, status, tokenId }) => [phase, status, tokenId !== undefined]),
    [
      ['result', 200, true],
      ['result', 401, false],
      ['result', 403, false],
      ['result', 404, true],
      ['result', 403, true],
    ],
  )
  assert.equal(new Set(lines.map(({ id }) => id)).size, 5)
  assert.deepEqual((await verifyAudit(services.home.audit)).broken, [])
})

test('a write has its intent on disk before it happens, and its result after', async t => {
  const { app, bearer, entries } = await setUp(t)
  const answer = await app.inject({ method: 'POST', url: `${base}/things`, headers: bearer, payload: {} })
  assert.deepEqual(answer.json(), { onDisk: 'intent' })
  await eventually('the state of the door to change', async () => (await entries()).length === 2)
  const [intent, result] = await entries()
  assert.equal(intent?.id, result?.id)
  assert.deepEqual([intent?.phase, intent?.status, intent?.projectId], ['intent', undefined, project])
  assert.deepEqual(
    [result?.phase, result?.status, result?.action, result?.jobId],
    ['result', 200, 'thing.create', 'made'],
  )
})

test('a write whose intent cannot be persisted does not happen; reads go on; it recovers', async t => {
  const { app, bearer, entries, services } = await setUp(t)
  const write = () => app.inject({ method: 'POST', url: `${base}/things`, headers: bearer, payload: {} })
  await mkdir(services.home.audit)
  const refused = await write()
  assert.deepEqual([refused.statusCode, refused.json().error], [503, 'audit_unavailable'])
  assert.equal((await app.inject({ url: '/v1/status', headers: bearer })).statusCode, 200)
  await rmdir(services.home.audit)
  assert.equal((await write()).statusCode, 200)
  await eventually('the state of the door to change', async () => (await entries()).length === 4)
  const lines = (await entries()).map(({ phase, method, status }) => `${phase} ${method} ${status ?? ''}`)
  assert.deepEqual(lines, ['result POST 503', 'result GET 200', 'intent POST ', 'result POST 200'])
})

test('a stream leaves its intent before the upgrade, and its result with its bytes when it closes', async t => {
  const { app, token, entries } = await setUp(t)
  const url = `ws://127.0.0.1:${await listen(app)}${base}/jobs/j1/echo?token=${token}`
  const socket = new WebSocket(url)
  await once(socket, 'open')
  const [intent] = await entries()
  assert.deepEqual(
    [intent?.phase, intent?.jobId, intent?.path],
    ['intent', 'j1', `${base}/jobs/j1/echo?token=[removed]`],
  )
  socket.close()
  await eventually('the state of the door to change', async () => (await entries()).length === 2)
  const [, result] = await entries()
  assert.deepEqual([result?.id, result?.status, result?.bytesIn, result?.bytesOut], [intent?.id, 101, 3, 5])
})

test('a client that leaves: a read says so, a write still tells what came of it', async t => {
  const { app, token, entries, gates } = await setUp(t)
  const port = await listen(app)
  for (const [count, method] of ['GET', 'POST'].entries()) {
    const socket = connect(port, '127.0.0.1')
    const head = `host: localhost\r\nauthorization: Bearer ${token}\r\ncontent-length: 0\r\n\r\n`
    socket.write(`${method} ${base}/slow HTTP/1.1\r\n${head}`)
    await eventually('the state of the door to change', () => gates.length === count + 1)
    socket.destroy()
  }
  await eventually('the state of the door to change', async () =>
    (await entries()).some(({ method, status }) => method === 'GET' && status === 499),
  )
  await eventually(
    'the state of the door to change',
    async () => app.server.connections === 0 || (await connections(app)) === 0,
  )
  for (const open of gates) open()
  await eventually('the state of the door to change', async () => (await entries()).length === 3)
  const [, intent, result] = await entries()
  assert.deepEqual([intent?.phase, result?.phase, result?.status], ['intent', 'result', 202])
})

function connections(app: FastifyInstance): Promise<number> {
  return new Promise((resolve, reject) =>
    app.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  )
}

test('GET /v1/audit: a read token sees its own entries, a write token and the owner all', async t => {
  const { app, services, bearer } = await setUp(t)
  const { token: reader, id } = await createToken(services.home, {})
  await eventually('the state of the door to change', () => services.tokens.usable(id) !== undefined)
  const narrow = { 'x-hack-token': reader }
  await app.inject({ url: '/v1/status', headers: bearer })
  await app.inject({ url: '/v1/status', headers: narrow })
  const see = async (headers: Record<string, string>, query = '') =>
    (await app.inject({ url: `/v1/audit${query}`, headers })).json().entries as AuditEntry[]
  const own = await see(narrow)
  assert.deepEqual([...new Set(own.map(({ tokenId }) => tokenId))], [id])
  const all = await see(bearer)
  assert.equal(new Set(all.map(({ tokenId }) => tokenId)).size, 2)
  assert.equal((await see(bearer, '?limit=1')).length, 1)
  const [, second] = all
  assert.deepEqual((await see(bearer, `?limit=1&before=${all[0]?.id}`))[0], second)
  for (const query of ['?limit=0', '?limit=1001', '?limit=x'])
    assert.equal((await app.inject({ url: `/v1/audit${query}`, headers: bearer })).json().error, 'invalid_request')
})

test('a log that was moved away is found again by the check, chain and all', async t => {
  const { app, bearer, services } = await setUp(t)
  await app.inject({ url: '/v1/status', headers: bearer })
  await services.audit.flush()
  await rename(services.home.audit, services.home.audit.replace('.jsonl', '.1.jsonl'))
  await app.inject({ method: 'POST', url: `${base}/things`, headers: bearer, payload: {} })
  await services.audit.flush()
  assert.deepEqual((await verifyAudit(services.home.audit)).broken, [])
})
