import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import WebSocket from 'ws'
import { readLastUsed } from '../../src/auth/last-used.js'
import { createToken, revokeToken } from '../../src/auth/token-file.js'
import { replaceJson } from '../../src/storage/atomic-file.js'
import { buildTestApp } from '../build-app.js'
import { eventually } from '../eventually.js'

const project = '0123456789ab'
const base = `/control-plane/projects/${project}`

/** Routes of every kind that access rules tell apart. */
function extend(app: FastifyInstance) {
  app.get('/control-plane/projects/:projectId/things', async () => ({ things: [] }))
  app.post('/control-plane/projects/:projectId/things', async () => ({ done: true }))
  app.get('/control-plane/projects/:projectId/log', { websocket: true }, socket => socket.close(1000))
  app.get('/control-plane/projects/:projectId/shell', { websocket: true, config: { write: true } }, socket =>
    socket.close(1000),
  )
}

async function listen(app: FastifyInstance): Promise<string> {
  await app.listen({ port: 0, host: '127.0.0.1' })
  return `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

/** The selected subprotocol, or the status and error code of a refusal. */
async function connect(url: string, protocols: string[], headers: Record<string, string> = {}): Promise<string> {
  const socket = new WebSocket(url, protocols, { headers })
  const refused = once(socket, 'unexpected-response').then(async ([, response]) => {
    const body = Buffer.concat(await response.toArray()).toString()
    return `${response.statusCode} ${JSON.parse(body).error}`
  })
  const opened = once(socket, 'open').then(async () => {
    await once(socket, 'close')
    return socket.protocol
  })
  opened.catch(() => undefined)
  refused.catch(() => undefined)
  return Promise.race([opened, refused])
}

test('no token, a wrong one, a good one; unknown paths are not told apart without one', async t => {
  const { app, token, bearer, argon2Runs } = await buildTestApp(t)
  for (const url of ['/v1/status', '/nowhere', '/%zz', '/control-plane/projects/x/jobs']) {
    const missing = await app.inject(url)
    assert.deepEqual([missing.statusCode, missing.json().error], [401, 'missing_token'], url)
    assert.equal(missing.headers['www-authenticate'], 'Bearer')
    const wrong = await app.inject({ url, headers: { 'x-hack-token': `${token}x` } })
    assert.deepEqual([wrong.statusCode, wrong.json().error], [401, 'invalid_token'], url)
    assert.equal(wrong.headers['www-authenticate'], 'Bearer')
  }
  assert.equal(argon2Runs(), 0)
  assert.equal((await app.inject({ url: '/v1/status', headers: bearer })).statusCode, 200)
  assert.equal((await app.inject({ url: '/v1/status', headers: { authorization: `bearer ${token}` } })).statusCode, 200)
  assert.equal((await app.inject({ url: '/v1/status', headers: { 'x-hack-token': token } })).statusCode, 200)
  for (const url of ['/nowhere', '/%zz']) assert.equal((await app.inject({ url, headers: bearer })).statusCode, 404)
  assert.equal(argon2Runs(), 1)
})

test('malformed, contradicting and misplaced tokens are invalid', async t => {
  const { app, token, bearer } = await buildTestApp(t)
  const attempts = [
    { headers: { authorization: 'Bearer' } },
    { headers: { authorization: `Basic ${token}` } },
    { headers: { authorization: `Bearer ${token} ${token}` } },
    { headers: { 'x-hack-token': '' } },
    { headers: { ...bearer, 'x-hack-token': `${token}x` } },
    { headers: bearer, query: { token } },
    { query: { token } },
    { headers: { 'sec-websocket-protocol': `hack.v1, hack.bearer.${token}`, authorization: 'Bearer no' } },
  ]
  for (const attempt of attempts) {
    const { statusCode, body } = await app.inject({ url: '/v1/status', ...attempt })
    assert.deepEqual([statusCode, JSON.parse(body).error], [401, 'invalid_token'], JSON.stringify(attempt))
  }
  const agreeing = await app.inject({ url: '/v1/status', headers: { ...bearer, 'x-hack-token': token } })
  assert.equal(agreeing.statusCode, 200)
})

test('the four ways to present a token on a handshake', async t => {
  const { app, token, bearer, logged, services } = await buildTestApp(t, { projects: [project], extend })
  const url = `${await listen(app)}${base}/log`
  assert.equal(await connect(url, [], bearer), '')
  assert.equal(await connect(url, ['hack.v1'], { 'x-hack-token': token }), 'hack.v1')
  assert.equal(await connect(url, ['hack.v1', `hack.bearer.${token}`]), 'hack.v1')
  assert.equal(await connect(url, [`hack.bearer.${token}`, 'hack.v1']), 'hack.v1')
  assert.equal(await connect(`${url}?token=${token}`, []), '')
  assert.equal(await connect(url, []), '401 missing_token')
  assert.equal(await connect(url, ['hack.v1', 'hack.bearer.nonsense']), '401 invalid_token')
  assert.equal(await connect(`${url}?token=${token}`, ['hack.v1', 'hack.bearer.other']), '401 invalid_token')
  assert.equal(await connect(`${url}?token=${token}&token=other`, []), '401 invalid_token')
  await app.close()
  await services.audit.close()
  const audit = await readFile(services.home.audit, 'utf8')
  assert.ok(!audit.includes(token.slice(18)) && !logged.join().includes(token.slice(18)), 'no secret is kept anywhere')
  assert.match(audit, /log\?token=\[removed\]/)
})

test('a token that is revoked is refused from the next request on', async t => {
  const { app, services, bearer, token } = await buildTestApp(t)
  assert.equal((await app.inject({ url: '/v1/status', headers: bearer })).statusCode, 200)
  await revokeToken(services.home, token.slice(5, 17))
  await eventually(
    'the state of the door to change',
    async () => (await app.inject({ url: '/v1/status', headers: bearer })).statusCode === 401,
  )
})

test('an expired token is refused', async t => {
  const { app, bearer } = await buildTestApp(t, { token: { expiresAt: new Date(Date.now() + 700) } })
  assert.equal((await app.inject({ url: '/v1/status', headers: bearer })).statusCode, 200)
  await eventually(
    'the state of the door to change',
    async () => (await app.inject({ url: '/v1/status', headers: bearer })).json().error === 'invalid_token',
  )
})

test('host and origin are judged before the token', async t => {
  const { app, bearer } = await buildTestApp(t, {
    config: { gateway: { allowedOrigins: ['https://app.example.com'] } },
  })
  const ask = async (headers: Record<string, string>) => {
    const { statusCode, body } = await app.inject({ url: '/v1/status', headers })
    return statusCode === 200 ? 200 : `${statusCode} ${JSON.parse(body).error}`
  }
  assert.equal(await ask({ host: 'evil.example.com' }), '403 host_not_allowed')
  assert.equal(await ask({ ...bearer, host: 'evil.example.com' }), '403 host_not_allowed')
  assert.equal(
    await ask({ ...bearer, host: 'evil.example.com', 'x-forwarded-host': 'localhost' }),
    '403 host_not_allowed',
  )
  assert.equal(await ask({ ...bearer, origin: 'https://evil.example.com' }), '403 origin_not_allowed')
  assert.equal(await ask({ ...bearer, origin: 'null' }), '403 origin_not_allowed')
  assert.equal(await ask({ ...bearer, host: 'workstation.local:7788' }), 200)
  assert.equal(await ask({ ...bearer, origin: 'https://app.example.com' }), 200)
})

test('CORS: a preflight of an allowed origin needs no token; answers may be read by it', async t => {
  const { app, bearer } = await buildTestApp(t, {
    config: { gateway: { allowedOrigins: ['https://app.example.com'] } },
  })
  const preflight = (origin: string) =>
    app.inject({
      method: 'OPTIONS',
      url: `${base}/jobs`,
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-hack-token' },
    })
  const allowed = await preflight('https://app.example.com')
  assert.equal(allowed.statusCode, 204)
  assert.equal(allowed.headers['access-control-allow-origin'], 'https://app.example.com')
  assert.match(
    String(allowed.headers['access-control-allow-headers']),
    /authorization.*x-hack-token.*idempotency-key.*range/,
  )
  assert.match(String(allowed.headers['access-control-allow-methods']), /POST.*DELETE/)
  assert.equal(allowed.headers.vary, 'Origin')
  const refused = await preflight('https://evil.example.com')
  assert.deepEqual([refused.statusCode, refused.json().error], [403, 'origin_not_allowed'])
  assert.equal(refused.headers['access-control-allow-origin'], undefined)

  const origin = 'https://app.example.com'
  for (const headers of [{ ...bearer, origin }, { origin }]) {
    const answer = await app.inject({ url: '/v1/status', headers })
    assert.equal(answer.headers['access-control-allow-origin'], origin, 'failures can be read as well')
    assert.match(String(answer.headers['access-control-expose-headers']), /Retry-After.*Content-Range/)
    assert.equal(answer.headers['access-control-allow-credentials'], undefined)
  }
})

test('failed authentication is limited per address, and never at the expense of a good token', async t => {
  const { app, bearer, services } = await buildTestApp(t, {
    config: { gateway: { rateLimit: { failedAuthPerMinute: 3 } } },
  })
  const fail = (remoteAddress: string, url = '/v1/status') =>
    app.inject({ url, remoteAddress, headers: { authorization: 'Bearer bad' } })
  for (let i = 0; i < 3; i++) assert.equal((await fail('10.1.1.1')).json().error, 'invalid_token')
  for (const url of ['/v1/status', '/nowhere']) {
    const over = await fail('10.1.1.1', url)
    assert.deepEqual([over.statusCode, over.json().error], [429, 'rate_limited'])
    assert.ok(Number(over.headers['retry-after']) > 0)
  }
  assert.equal((await app.inject({ url: '/v1/status', remoteAddress: '10.1.1.1' })).statusCode, 429)
  assert.equal((await app.inject({ url: '/v1/status', remoteAddress: '10.1.1.1', headers: bearer })).statusCode, 200)
  assert.equal((await fail('10.1.1.2')).statusCode, 401)
  await services.audit.close()
  const lines = (await readFile(services.home.audit, 'utf8'))
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  assert.deepEqual(
    lines.filter(({ status }) => status === 429).map(({ remoteAddress, count }) => [remoteAddress, count]),
    [['10.1.1.1', 3]],
  )
})

test('requests are limited per token, on unknown paths too, by the config as it stands', async t => {
  const { app, bearer, services } = await buildTestApp(t, { config: { gateway: { rateLimit: { perMinute: 4 } } } })
  const other = await createToken(services.home, {})
  await eventually('the state of the door to change', () => services.tokens.usable(other.id) !== undefined)
  const statuses = []
  for (const url of ['/v1/status', '/nowhere', '/v1/status', '/nowhere', '/nowhere', '/v1/status'])
    statuses.push((await app.inject({ url, headers: bearer })).statusCode)
  assert.deepEqual(statuses, [200, 404, 200, 404, 429, 429])
  const over = await app.inject({ url: '/v1/status', headers: bearer })
  assert.ok(Number(over.headers['retry-after']) > 0)
  assert.equal((await app.inject({ url: '/v1/status', headers: { 'x-hack-token': other.token } })).statusCode, 200)
  await replaceJson(services.home.config, { controlPlane: { gateway: { rateLimit: { perMinute: 1000 } } } })
  await eventually(
    'the state of the door to change',
    async () => (await app.inject({ url: '/v1/status', headers: bearer })).statusCode === 200,
  )
})

test('a project has to be served, and within the token, whatever the path below it', async t => {
  const { app, services, bearer } = await buildTestApp(t, { projects: [project, 'ffffffffffff'], extend })
  const confined = await createToken(services.home, { projects: ['ffffffffffff'] })
  await eventually('the state of the door to change', () => services.tokens.usable(confined.id) !== undefined)
  const ask = async (url: string, headers: Record<string, string>) => (await app.inject({ url, headers })).statusCode
  const narrow = { 'x-hack-token': confined.token }
  assert.equal(await ask(`${base}/things`, bearer), 200)
  assert.equal(await ask(`${base}/things`, narrow), 403)
  assert.equal(await ask('/control-plane/projects/ffffffffffff/things', narrow), 200)
  for (const id of ['unknown', '..%2f', 'x'.repeat(5000)])
    for (const path of ['things', 'nowhere']) {
      const answer = await app.inject({ url: `/control-plane/projects/${id}/${path}`, headers: bearer })
      assert.deepEqual([answer.statusCode, answer.json().error], [403, 'project_disabled'], `${id}/${path}`)
    }
})

test('writes need allowWrites and a write token, in this order, before anything else is looked at', async t => {
  const { app, services, bearer } = await buildTestApp(t, { projects: [project], extend })
  const reader = { 'x-hack-token': (await createToken(services.home, {})).token }
  await eventually(
    'the state of the door to change',
    () => services.tokens.usable(reader['x-hack-token'].slice(5, 17)) !== undefined,
  )
  const post = async (url: string, headers: Record<string, string>) =>
    (await app.inject({ method: 'POST', url, headers, payload: 'x' })).json().error
  assert.equal(await post(`${base}/things`, bearer), 'writes_disabled')
  assert.equal(await post(`${base}/things`, reader), 'writes_disabled')
  assert.equal(await post('/nowhere', reader), 'writes_disabled')
  assert.equal(await post('/control-plane/projects/unknown/things', reader), 'project_disabled')
  await replaceJson(services.home.config, { controlPlane: { gateway: { allowWrites: true } } })
  await eventually('the state of the door to change', () => services.config.current.gateway.allowWrites)
  assert.equal(await post(`${base}/things`, reader), 'write_scope_required')
  assert.equal(await post(`${base}/things`, bearer), 'unsupported_media_type')
  const done = await app.inject({ method: 'POST', url: `${base}/things`, headers: bearer, payload: {} })
  assert.deepEqual(done.json(), { done: true })
})

test('a shell stream needs what a write needs, a log stream does not', async t => {
  const { app, services, bearer } = await buildTestApp(t, { projects: [project], extend })
  const { token: reader } = await createToken(services.home, {})
  const url = await listen(app)
  assert.equal(await connect(`${url}${base}/log`, [], { 'x-hack-token': reader }), '')
  assert.equal(await connect(`${url}${base}/shell`, [], bearer), '403 writes_disabled')
  await replaceJson(services.home.config, { controlPlane: { gateway: { allowWrites: true } } })
  await eventually('the state of the door to change', () => services.config.current.gateway.allowWrites)
  assert.equal(await connect(`${url}${base}/shell`, [], { 'x-hack-token': reader }), '403 write_scope_required')
  assert.equal(await connect(`${url}${base}/shell`, [], bearer), '')
  assert.equal(await connect(`${url}/control-plane/projects/nope/log`, [], bearer), '403 project_disabled')
})

test('the admin socket asks for no token, host or allowWrites, but for a served project', async t => {
  const { app, services } = await buildTestApp(t, { door: 'local', projects: [project], extend })
  const headers = { host: 'anything', origin: 'https://evil.example.com' }
  assert.equal((await app.inject({ url: '/v1/status', headers })).statusCode, 200)
  const done = await app.inject({ method: 'POST', url: `${base}/things`, headers, payload: {} })
  assert.equal(done.statusCode, 200)
  assert.equal((await app.inject({ url: '/control-plane/projects/x/things', headers })).statusCode, 403)
  assert.equal((await app.inject({ url: '/nowhere', headers })).statusCode, 404)
  await services.audit.close()
  const lines = (await readFile(services.home.audit, 'utf8'))
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  assert.deepEqual(
    lines.map(({ phase, remoteAddress, status }) => [phase, remoteAddress, status]),
    [
      ['result', 'unix', 200],
      ['intent', 'unix', undefined],
      ['result', 'unix', 200],
      ['result', 'unix', 403],
      ['result', 'unix', 404],
    ],
  )
})

test('a use is remembered, not on the path of the request', async t => {
  const { app, services, bearer, token } = await buildTestApp(t)
  await app.inject({ url: '/v1/status', headers: bearer })
  await services.lastUsed.close()
  assert.deepEqual(Object.keys(await readLastUsed(services.home.lastUsed)), [token.slice(5, 17)])
})
