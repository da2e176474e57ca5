import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { WebSocket } from 'ws'
import { createToken, revokeToken } from '../../src/auth/token-file.js'
import { createGatewayClient, type GatewayClient } from '../../src/client/client.js'
import { type JobStreamItem, StreamError } from '../../src/client/streams.js'
import { type Hackd, startHackd } from '../hackd.js'

function clientOf(hackd: Hackd, baseUrl = hackd.url, token: string = hackd.token): GatewayClient {
  return createGatewayClient({ baseUrl, token, WebSocket })
}

/** A way to hackd whose connections can be cut. */
async function severable(t: TestContext, hackd: Hackd) {
  const sockets = new Set<Socket>()
  const server = createServer(near => {
    const far = connect(Number(new URL(hackd.url).port), '127.0.0.1')
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    }
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
    near.pipe(far).pipe(near)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  t.after(() => {
    server.close()
    cut()
  })
  const address = server.address()
  return { cut, url: `http://127.0.0.1:${typeof address === 'object' && address?.port}` }
}

test('a job is followed to its end, every byte and event once, through connections that are cut', async t => {
  const hackd = await startHackd(t)
  const way = await severable(t, hackd)
  const lines = 'for i in $(seq 1 300); do echo "line $i äöü"; [ $((i % 60)) = 0 ] && sleep 0.4; done; exit 5'
  const { jobId } = await hackd.createJob({ command: ['bash', '-c', lines] })
  const items: JobStreamItem[] = []
  let reconnects = 0
  const onReconnect = () => void reconnects++
  const cutter = setInterval(way.cut, 700)
  t.after(() => clearInterval(cutter))
  for await (const item of clientOf(hackd, way.url).streamJob({ projectId: hackd.projectId, jobId, onReconnect })) {
    items.push(item)
    if (item.type === 'event' && item.event.type === 'job.started') way.cut()
  }
  assert.ok(reconnects > 0)
  const text = items.map(item => (item.type === 'log' ? item.data : '')).join('')
  const log = readFileSync(`${hackd.home.jobs}/${hackd.projectId}/${jobId}/combined.log`)
  assert.equal(sha256(text), sha256(log))
  const events = items.flatMap(item => (item.type === 'event' ? [item.event] : []))
  assert.deepEqual(
    events.map(({ seq }) => seq),
    [1, 2, 3, 4],
  )
  assert.deepEqual(items.at(-1), { type: 'event', seq: 4, event: events[3] })
  assert.equal(events[3]?.type, 'job.failed')
})

test('it goes on from where another client stopped', async t => {
  const hackd = await startHackd(t)
  const { jobId } = await hackd.createJob({ command: ['echo', 'one two'] })
  await hackd.ended(jobId)
  const items: JobStreamItem[] = []
  const from = { projectId: hackd.projectId, jobId, logsFrom: 4, eventsFrom: 3 }
  for await (const item of clientOf(hackd).streamJob(from)) items.push(item)
  assert.deepEqual(
    items.map(item => (item.type === 'log' ? item.data : item.seq)),
    ['two\n', 4],
  )
})

test('an abort, and a loop that is left, close the connection', async t => {
  const hackd = await startHackd(t)
  const { jobId } = await hackd.createJob({ command: ['sh', '-c', 'echo x; sleep 60'] })
  const { projectId } = hackd
  const abort = new AbortController()
  for await (const item of clientOf(hackd).streamJob({ projectId, jobId, signal: abort.signal }))
    if (item.type === 'log') abort.abort()
  for await (const item of clientOf(hackd).streamJob({ projectId, jobId })) if (item.type === 'log') break
  for await (const _ of clientOf(hackd).streamJob({ projectId, jobId, signal: AbortSignal.abort() })) assert.fail()
  const active = async () => (await hackd.call('GET', '/v1/metrics')).body.streams_active
  while ((await active()) !== 0) await new Promise(resolve => setTimeout(resolve, 20))
})

test('a refusal ends it with the code', async t => {
  const hackd = await startHackd(t)
  const { jobId } = await hackd.createJob({ command: ['sleep', '60'] })
  const { projectId } = hackd
  const codeOf = async (client: GatewayClient, options: { jobId?: string; logsFrom?: number }, seen = () => {}) => {
    try {
      for await (const _ of client.streamJob({ projectId, jobId, ...options })) seen()
      return 'ended'
    } catch (error) {
      assert.ok(error instanceof StreamError, String(error))
      return error.code
    }
  }
  assert.equal(await codeOf(clientOf(hackd), { jobId: 'none' }), 'job_not_found')
  assert.equal(await codeOf(clientOf(hackd, hackd.url, 'hack_wrong'), {}), 'invalid_token')
  assert.equal(await codeOf(clientOf(hackd), { logsFrom: 10 }), 'offset_out_of_range')
  const { id, token } = await createToken(hackd.home, { scope: 'read' })
  const client = clientOf(hackd, hackd.url, token)
  while (!(await client.getStatus()).ok) await new Promise(resolve => setTimeout(resolve, 20))
  assert.match(await codeOf(client, {}, () => void revokeToken(hackd.home, id)), /invalid_token|token/)
})

test('a plain stream is a WebSocket, and without a WebSocket there is a sentence', async t => {
  const hackd = await startHackd(t)
  const { jobId } = await hackd.createJob({ command: ['true'] })
  const socket = await clientOf(hackd).openJobStream({ projectId: hackd.projectId, jobId })
  const frames: unknown[] = []
  socket.addEventListener('open', () => socket.send('{"type":"hello"}'))
  socket.addEventListener('message', ({ data }) => frames.push(JSON.parse(String(data)).type))
  await new Promise<void>(resolve => socket.addEventListener('close', () => resolve()))
  assert.equal(frames[0], 'ready')
  if (!('WebSocket' in globalThis)) {
    const bare = createGatewayClient({ baseUrl: hackd.url, token: hackd.token })
    await assert.rejects(bare.openJobStream({ projectId: hackd.projectId, jobId }), /pass the one of the package ws/)
  }
})

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}
