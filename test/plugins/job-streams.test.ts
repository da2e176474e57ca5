import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { createToken, revokeToken } from '../../src/auth/token-file.js'
import { setEnabled } from '../../src/projects/project-file.js'
import { replaceJson } from '../../src/storage/atomic-file.js'
import { eventually } from '../eventually.js'
import { startHackd } from '../hackd.js'

test('a stream says nothing before hello, then everything in order, and closes when the job is over', async t => {
  const hackd = await startHackd(t)
  const job = await hackd.createJob({ command: ['bash', '-c', 'echo one; sleep 0.2; echo zwölf; exit 3'] })
  const stream = hackd.stream(job.jobId)
  await once(stream.socket, 'open')
  await hackd.ended(job.jobId)
  assert.equal(stream.frames.length, 0)
  await stream.hello()
  assert.deepEqual(await stream.closed, { code: 1000, reason: 'job_finished' })
  assert.deepEqual(stream.frames[0], { type: 'ready', logsOffset: 0, eventsSeq: 0 })
  assert.equal(stream.text, 'one\nzwölf\n')
  assert.equal(stream.offset, 11)
  assert.deepEqual(stream.events, ['job.created', 'job.starting', 'job.started', 'job.failed'])
  assert.equal(stream.frames.at(-1)?.type, 'event')
})

test('frames come as the job writes, and a stream resumes at its offset', async t => {
  const hackd = await startHackd(t)
  const job = await hackd.createJob({ command: ['bash', '-c', 'echo first; read line; echo "$line"'], stdin: true })
  const first = await hackd.stream(job.jobId).hello()
  const log = await first.frame('log')
  assert.deepEqual(log, { type: 'log', stream: 'combined', offset: 6, data: 'first\n' })
  first.socket.terminate()
  const reply = await hackd.call('POST', hackd.jobs(`/${job.jobId}/input`), { data: 'second\n' })
  assert.equal(reply.status, 200)
  const next = await hackd.stream(job.jobId).hello(log.offset, 3)
  await next.closed
  assert.equal(next.text, 'second\n')
  assert.deepEqual(next.frames[0], { type: 'ready', logsOffset: 6, eventsSeq: 3 })
  assert.deepEqual(next.events, ['job.input', 'job.completed'])
})

test('a hello past the end is refused and may be said again; another hello seeks', async t => {
  const hackd = await startHackd(t)
  const job = await hackd.createJob({ command: ['sh', '-c', 'echo 0123456789; sleep 30'] })
  const stream = await hackd.stream(job.jobId).hello(1000)
  const error = await stream.frame('error')
  assert.equal(error.message, 'offset_out_of_range')
  await stream.hello(0)
  await eventually('the log', () => stream.text === '0123456789\n')
  await stream.hello(8)
  await eventually('the end of the log again', () => stream.text === '0123456789\n89\n')
  assert.equal(stream.frames.filter(frame => frame.type === 'ready').length, 2)
  stream.socket.close()
})

test('a heartbeat comes at least every five seconds, with the offsets that were sent', async t => {
  const hackd = await startHackd(t)
  const job = await hackd.createJob({ command: ['sh', '-c', 'echo x; sleep 30'] })
  const stream = await hackd.stream(job.jobId).hello()
  const heartbeat = await stream.frame('heartbeat')
  assert.equal(heartbeat.logsOffset, 2)
  assert.equal(heartbeat.eventsSeq, 3)
  stream.socket.close()
})

test('frames that no honest client sends end the stream, ten broken ones as well', async t => {
  const hackd = await startHackd(t)
  const job = await hackd.createJob({ command: ['sleep', '30'] })
  const end = async (...frames: (string | Buffer)[]) => {
    const stream = hackd.stream(job.jobId)
    await once(stream.socket, 'open')
    for (const frame of frames) stream.socket.send(frame)
    return (await stream.closed).code
  }
  assert.equal(await end('{"__proto__":{"type":"hello"}}'), 1008)
  assert.equal(await end('['.repeat(17) + ']'.repeat(17)), 1008)
  assert.equal(await end(...Array<string>(10).fill('not json')), 1008)
  assert.equal(await end(Buffer.alloc(2 ** 20 + 1)), 1009)
  const patient = hackd.stream(job.jobId)
  await once(patient.socket, 'open')
  for (let i = 0; i < 9; i++) patient.socket.send('{"type":"nonsense"}')
  await patient.hello()
  assert.equal((await patient.frame('ready')).type, 'ready')
  patient.socket.close()
})

test('what can be refused is refused before the upgrade', async t => {
  const hackd = await startHackd(t, { config: { gateway: { maxStreams: { total: 2, perToken: 2 } } } })
  const job = await hackd.createJob({ command: ['sleep', '30'] })
  const status = async (jobId: string, token?: string) => {
    const { socket, closed } = hackd.stream(jobId, token)
    const [, response] = await once(socket, 'unexpected-response')
    response.on('error', () => undefined).resume()
    socket.terminate()
    await closed.catch(() => undefined)
    return response.statusCode
  }
  assert.equal(await status('no-such-job'), 404)
  assert.equal(await status(job.jobId, 'hack_wrong'), 401)
  assert.equal((await hackd.call('GET', hackd.jobs(`/${job.jobId}/stream`))).status, 426)
  const streams = [hackd.stream(job.jobId), hackd.stream(job.jobId)]
  await Promise.all(streams.map(({ socket }) => once(socket, 'open')))
  assert.equal(await status(job.jobId), 429)
  streams[0]?.socket.terminate()
  await eventually('a free place', async () => {
    const { socket, closed } = hackd.stream(job.jobId)
    socket.once('open', () => socket.close())
    return closed.then(
      () => true,
      () => false,
    )
  })
})

test('a revoked token, a token that expires and a project that is disabled end live streams within a second', async t => {
  const hackd = await startHackd(t)
  const job = await hackd.createJob({ command: ['sleep', '30'] })
  const revoked = await createToken(hackd.home, { scope: 'read' })
  const expiring = await createToken(hackd.home, {
    scope: 'read',
    expiresAt: new Date(Date.now() + 4000),
  })
  await eventually('the new tokens', async () => (await fetchStatus(hackd.url, expiring.token)) === 200)
  const one = await hackd.stream(job.jobId, revoked.token).hello()
  const two = await hackd.stream(job.jobId, expiring.token).hello()
  const three = await hackd.stream(job.jobId).hello()
  await Promise.all([one.frame('ready'), two.frame('ready'), three.frame('ready')])
  const before = performance.now()
  await revokeToken(hackd.home, revoked.id)
  assert.equal((await one.closed).code, 4401)
  assert.ok(performance.now() - before < 1000 + 500)
  assert.equal(await fetchStatus(hackd.url, revoked.token), 401)
  assert.equal((await two.closed).code, 4401)
  await hackd.call('POST', hackd.jobs(`/${job.jobId}/cancel`))
  const last = await hackd.createJob({ command: ['sleep', '30'] })
  const four = await hackd.stream(last.jobId).hello()
  await four.frame('ready')
  hackd.url = ''
  await setEnabled(hackd.home, hackd.projectId, false)
  assert.equal((await four.closed).code, 4403)
  await setEnabled(hackd.home, hackd.projectId, true)
  await eventually('the listener', () => hackd.url !== '')
})

test('a stream that the client does not read costs hackd no memory', async t => {
  const hackd = await startHackd(t)
  const job = await hackd.createJob({ command: ['head', '-c', String(200 * 2 ** 20), '/dev/zero'] })
  const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${hackd.child?.pid}/status`, 'utf8'))?.[1]) / 1024
  await hackd.ended(job.jobId)
  const before = rss()
  const stream = await hackd.stream(job.jobId).hello()
  stream.socket.pause()
  await new Promise(resolve => setTimeout(resolve, 1500))
  const grown = rss() - before
  assert.ok(grown < 64, `hackd grew by ${grown} MiB`)
  stream.socket.terminate()
})

test('a slow reader gets every byte, the end, and the reason why its stream is over', async t => {
  const hackd = await startHackd(t)
  const size = 8 * 2 ** 20
  const job = await hackd.createJob({ command: ['sh', '-c', `yes zwölf | head -c ${size}`] })
  await hackd.ended(job.jobId)
  // Whatever the kernel takes, of some of them the last frames still wait in hackd when its part is done.
  const offsets = Array.from({ length: 40 }, (_, n) => size - (n + 1) * 200_000)
  const streams = await Promise.all(offsets.map(offset => hackd.stream(job.jobId).hello(offset)))
  for (const { socket } of streams) socket.pause()
  await new Promise(resolve => setTimeout(resolve, 4000))
  for (const { socket } of streams) socket.resume()
  for (const stream of streams) {
    assert.deepEqual(await stream.closed, { code: 1000, reason: 'job_finished' })
    assert.equal(stream.offset, size)
    assert.equal(stream.events.at(-1), 'job.completed')
  }
})

test('the token may come as a subprotocol, and is not sent back', async t => {
  const hackd = await startHackd(t)
  const job = await hackd.createJob({ command: ['true'] })
  const url = `${hackd.url.replace('http', 'ws')}${hackd.jobs(`/${job.jobId}/stream`)}`
  const socket = new WebSocket(url, ['hack.v1', `hack.bearer.${hackd.token}`])
  await once(socket, 'open')
  assert.equal(socket.protocol, 'hack.v1')
  socket.close()
  const plain = new WebSocket(`${url}?token=${hackd.token}`)
  await once(plain, 'open')
  plain.close()
  assert.ok(!hackd.log.includes(hackd.token))
})

test('streams are on record, with what went in and out', async t => {
  const hackd = await startHackd(t)
  const job = await hackd.createJob({ command: ['echo', 'zwölf 🙂'] })
  const stream = await hackd.stream(job.jobId).hello()
  await stream.closed
  const lines = async () => (await hackd.call('GET', '/v1/audit?limit=50')).body.entries
  await eventually('the result', async () =>
    (await lines()).some(
      (line: { action?: string; phase: string }) => line.action === 'job.stream' && line.phase === 'result',
    ),
  )
  const [result, intent] = (await lines()).filter((line: { action?: string }) => line.action === 'job.stream')
  assert.equal(intent.phase, 'intent')
  assert.equal(result.id, intent.id)
  assert.equal(result.status, 101)
  assert.equal(result.bytesIn, Buffer.byteLength(JSON.stringify({ type: 'hello', logsFrom: 0, eventsFrom: 0 })))
  const sent = stream.frames.map(frame => Buffer.byteLength(JSON.stringify(frame)))
  assert.equal(
    result.bytesOut,
    sent.reduce((sum, bytes) => sum + bytes),
  )
})

test('hackd says goodbye to its streams when it stops', async t => {
  const hackd = await startHackd(t)
  const job = await hackd.createJob({ command: ['sleep', '30'] })
  const stream = await hackd.stream(job.jobId).hello()
  await stream.frame('ready')
  const exit = hackd.kill('SIGTERM')
  assert.equal((await stream.closed).code, 1001)
  assert.equal(await exit, 0)
  await hackd.start()
  await eventually('it to be adopted', async () => (await hackd.job(job.jobId)).status === 'running')
})

test('writes turned off while a job runs: it goes on, and queued ones wait', async t => {
  const hackd = await startHackd(t, { config: { supervisor: { maxConcurrentJobs: 1 } } })
  const running = await hackd.createJob({ command: ['sleep', '0.5'] })
  const queued = await hackd.createJob({ command: ['true'] })
  const config = JSON.parse(readFileSync(hackd.home.config, 'utf8'))
  config.controlPlane.gateway.allowWrites = false
  await replaceJson(hackd.home.config, config)
  await eventually(
    'writes off',
    async () => (await hackd.call('POST', hackd.jobs(), {})).body.error === 'writes_disabled',
  )
  assert.equal((await hackd.ended(running.jobId)).status, 'completed')
  assert.equal((await hackd.job(queued.jobId)).status, 'queued')
  config.controlPlane.gateway.allowWrites = true
  await replaceJson(hackd.home.config, config)
  assert.equal((await hackd.ended(queued.jobId)).status, 'completed')
})

async function fetchStatus(url: string, token: string): Promise<number> {
  return (await fetch(`${url}/v1/status`, { headers: { authorization: `Bearer ${token}` } })).status
}
