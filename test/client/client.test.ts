import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { createGatewayClient } from '../../src/client/client.js'

/** A server on loopback that answers as told, and the client for it. */
async function serve(t: TestContext, answer: (request: IncomingMessage, reply: ServerResponse) => void) {
  const server = createServer(answer)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return { server, baseUrl, client: createGatewayClient({ baseUrl, token: 'secret' }) }
}

test('a request carries the token, its query and its body; ids cannot leave their place in the path', async t => {
  const seen: unknown[] = []
  const { client } = await serve(t, async (request, reply) => {
    const { method, url, headers } = request
    seen.push([method, url, headers.authorization, headers['idempotency-key'], await text(request)])
    reply.end('{}')
  })
  await client.listJobs({ projectId: 'p', status: 'running', limit: 2 })
  await client.getJob({ projectId: '../x', jobId: 'a/b?c' })
  await client.createJob({ projectId: 'p', command: ['ls'], idempotencyKey: 'k' })
  await client.cancelJob({ projectId: 'p', jobId: 'j' })
  assert.deepEqual(seen, [
    ['GET', '/control-plane/projects/p/jobs?status=running&limit=2', 'Bearer secret', undefined, ''],
    ['GET', '/control-plane/projects/..%2Fx/jobs/a%2Fb%3Fc', 'Bearer secret', undefined, ''],
    ['POST', '/control-plane/projects/p/jobs', 'Bearer secret', 'k', '{"command":["ls"]}'],
    ['POST', '/control-plane/projects/p/jobs/j/cancel', 'Bearer secret', undefined, ''],
  ])
})

test('answers, refusals and nonsense are all values', async t => {
  const answers: [number, string][] = [
    [201, '{"job":1}'],
    [403, '{"error":"writes_disabled","message":"off"}'],
    [502, '<html>'],
    [200, '<html>'],
    [500, '{"error":7}'],
  ]
  const { client } = await serve(t, (_request, reply) => {
    const [status, body] = answers.shift() ?? [500, '']
    reply.writeHead(status).end(body)
  })
  assert.deepEqual(await client.getStatus(), { ok: true, status: 201, data: { job: 1 } })
  const refused = await client.getStatus()
  assert.deepEqual(refused, { ok: false, status: 403, error: { code: 'writes_disabled', message: 'off' } })
  for (const status of [502, 200, 500]) {
    const result = await client.getStatus()
    assert.ok(!result.ok)
    assert.deepEqual([result.status, result.error.code], [status, 'invalid_answer'])
  }
})

test('nobody there, and an abort, are values too', async t => {
  const { client, server } = await serve(t, () => undefined)
  const aborted = await client.getStatus({ signal: AbortSignal.timeout(50) })
  assert.ok(!aborted.ok)
  assert.deepEqual([aborted.status, aborted.error.code], [0, 'aborted'])
  server.closeAllConnections()
  await new Promise(resolve => server.close(resolve))
  const nobody = await client.getStatus()
  assert.ok(!nobody.ok)
  assert.deepEqual([nobody.status, nobody.error.code], [0, 'unreachable'])
  assert.match(nobody.error.message, /ECONNREFUSED/)
})

test('a token function is asked for each request', async t => {
  const { baseUrl } = await serve(t, (request, reply) => reply.end(JSON.stringify(request.headers.authorization)))
  let count = 0
  const client = createGatewayClient({ baseUrl, token: async () => `t${++count}` })
  const results = [await client.request({ path: '/' }), await client.request({ path: '/' })]
  assert.deepEqual(
    results.map(result => result.ok && result.data),
    ['Bearer t1', 'Bearer t2'],
  )
})
