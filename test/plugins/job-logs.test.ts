import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { AuditEntry } from '../../schemas/audit.js'
import type { JobMeta } from '../../schemas/jobs.js'
import { createToken, revokeToken } from '../../src/auth/token-file.js'
import { setEnabled } from '../../src/projects/project-file.js'
import { buildTestApp } from '../build-app.js'
import { eventually } from '../eventually.js'
import { type Hackd, startHackd } from '../hackd.js'

const digits = '0123456789'

test('a log is sent whole, by range, or from its end', async t => {
  const hackd = await startHackd(t)
  const { jobId } = await hackd.createJob({ command: ['printf', digits] })
  await hackd.ended(jobId)
  const get = (headers: Record<string, string> = {}, query = '', method = 'GET') =>
    hackd.call(method, hackd.jobs(`/${jobId}/logs${query}`), undefined, headers)
  const whole = await get()
  assert.deepEqual([whole.status, whole.body], [200, digits])
  assert.equal(whole.headers.get('accept-ranges'), 'bytes')
  assert.equal(whole.headers.get('x-content-type-options'), 'nosniff')
  for (const [range, body, where] of [
    ['bytes=0-', digits, 'bytes 0-9/10'],
    ['bytes=3-5', '345', 'bytes 3-5/10'],
    ['bytes=9-', '9', 'bytes 9-9/10'],
    ['bytes=5-500', '56789', 'bytes 5-9/10'],
    ['bytes=-3', '789', 'bytes 7-9/10'],
    ['bytes=-500', digits, 'bytes 0-9/10'],
  ] as const) {
    const part = await get({ range })
    assert.deepEqual([part.status, part.body, part.headers.get('content-range')], [206, body, where], range)
    assert.equal(part.headers.get('content-length'), String(body.length))
  }
  for (const range of ['bytes=0-1,4-5', 'bytes=5-1', 'lines=0-1', 'garbage', 'bytes=', 'bytes=a-']) {
    const part = await get({ range })
    assert.deepEqual([part.status, part.body, part.headers.get('content-range')], [200, digits, null], range)
  }
  for (const range of ['bytes=10-', 'bytes=500-600', 'bytes=-0']) {
    const reply = await get({ range })
    assert.deepEqual([reply.status, reply.body.error], [416, 'offset_out_of_range'])
    assert.match(reply.body.message, /10 bytes/)
    assert.equal(reply.headers.get('content-range'), 'bytes */10')
  }
  for (const [query, body] of [
    ['?tail=3', '789'],
    ['?tail=0', ''],
    ['?tail=500', digits],
    ['?follow=1', digits],
    ['?follow=true&tail=2', '89'],
  ])
    assert.deepEqual([(await get({}, query)).status, (await get({}, query)).body], [200, body], query)
  for (const query of ['?tail=-1', '?tail=x', '?tail=1.5', '?follow=maybe']) {
    const reply = await get({}, query)
    assert.deepEqual([reply.status, reply.body.error], [400, 'invalid_request'], query)
  }
  for (const [headers, status, length] of [
    [{}, 200, '10'],
    [{ range: 'bytes=2-3' }, 206, '2'],
  ] as const) {
    const head = await get(headers, '', 'HEAD')
    assert.deepEqual([head.status, head.body, head.headers.get('content-length')], [status, '', length])
  }
  assert.equal((await get({}, '?follow=1', 'HEAD')).status, 200)
  await eventually('no stream', async () => (await hackd.call('GET', '/v1/metrics')).body.streams_active === 0)
})

test('an empty log is an empty answer, whatever part of it is asked for', async t => {
  const hackd = await startHackd(t)
  const { jobId } = await hackd.createJob({ command: ['true'] })
  await hackd.ended(jobId)
  const logs = hackd.jobs(`/${jobId}/logs`)
  const suffix = await hackd.call('GET', logs, undefined, { range: 'bytes=-5' })
  assert.deepEqual([suffix.status, suffix.body, suffix.headers.get('content-range')], [200, '', null])
  assert.equal((await hackd.call('GET', logs, undefined, { range: 'bytes=0-' })).status, 416)
  for (const query of ['', '?tail=5', '?follow=1']) assert.equal((await hackd.call('GET', logs + query)).body, '')
})

test('a log of many chunks arrives whole, and by range at their borders', async t => {
  const hackd = await startHackd(t)
  const { jobId } = await hackd.createJob({ command: ['seq', '1', '60000'] })
  const { logsBytes = 0 } = await hackd.ended(jobId)
  const text = Array.from({ length: 60_000 }, (_, n) => `${n + 1}\n`).join('')
  assert.equal(logsBytes, text.length)
  const logs = hackd.jobs(`/${jobId}/logs`)
  assert.ok((await hackd.call('GET', logs)).body === text)
  assert.ok((await hackd.call('GET', `${logs}?follow=1`)).body === text)
  for (const [first, last] of [
    [65_535, 65_536],
    [65_536, 131_071],
    [1, text.length - 2],
  ] as const) {
    const part = await hackd.call('GET', logs, undefined, { range: `bytes=${first}-${last}` })
    assert.ok(part.body === text.slice(first, last + 1), `${first}-${last}`)
  }
})

/** A client such as `curl -N`. */
class Follower {
  text = ''
  status = 0
  readonly request: ClientRequest
  /** False when the answer was cut off. */
  readonly ended: Promise<boolean>

  constructor(hackd: Hackd, job: JobMeta, token = hackd.token, query = '?follow=1') {
    const headers = { authorization: `Bearer ${token}` }
    this.request = request(hackd.url + hackd.jobs(`/${job.jobId}/logs${query}`), { headers, agent: false })
    this.ended = new Promise(resolve => {
      this.request.on('error', () => resolve(false))
      this.request.on('response', (response: IncomingMessage) => {
        this.status = response.statusCode ?? 0
        response.setEncoding('utf8').on('data', text => {
          this.text += text
        })
        response.on('error', () => undefined)
        response.on('close', () => resolve(response.complete))
      })
    })
    this.request.end()
  }
}

test('a log is followed while the job writes, to the end of the job', async t => {
  const hackd = await startHackd(t)
  const job = await hackd.createJob({
    command: ['bash', '-c', 'echo one; read line; echo "$line"; (sleep 1; echo late) & exit 3'],
    stdin: true,
  })
  const follower = new Follower(hackd, job)
  await eventually('the first line', () => follower.text === 'one\n')
  assert.equal((await hackd.call('GET', '/v1/metrics')).body.streams_active, 1)
  await hackd.call('POST', hackd.jobs(`/${job.jobId}/input`), { data: 'two\n' })
  assert.equal(await follower.ended, true)
  assert.equal(follower.text, 'one\ntwo\n')
  assert.equal((await hackd.job(job.jobId)).exitCode, 3)
  await eventually('no stream', async () => (await hackd.call('GET', '/v1/metrics')).body.streams_active === 0)
  const entries = async (): Promise<AuditEntry[]> =>
    (await hackd.call('GET', '/v1/audit?limit=100')).body.entries.filter(
      (entry: AuditEntry) => entry.action === 'job.follow',
    )
  await eventually('the result', async () => (await entries()).length === 2)
  const [result, intent] = await entries()
  assert.deepEqual([intent?.phase, result?.phase, result?.status], ['intent', 'result', 200])
  assert.equal(result?.id, intent?.id)
  assert.equal(result?.jobId, job.jobId)
})

test('a log that is followed is cut when its token is revoked, or its project disabled', async t => {
  const hackd = await startHackd(t)
  const job = await hackd.createJob({ command: ['sh', '-c', 'echo here; sleep 60'] })
  const reader = await createToken(hackd.home, { scope: 'read' })
  await eventually('the new token', async () => {
    const headers = { authorization: `Bearer ${reader.token}` }
    return (await fetch(`${hackd.url}/v1/status`, { headers })).status === 200
  })
  const revoked = new Follower(hackd, job, reader.token)
  const disabled = new Follower(hackd, job)
  await eventually('both', () => revoked.text === 'here\n' && disabled.text === 'here\n')
  const before = performance.now()
  await revokeToken(hackd.home, reader.id)
  assert.equal(await revoked.ended, false)
  assert.ok(performance.now() - before < 1500)
  hackd.url = ''
  await setEnabled(hackd.home, hackd.projectId, false)
  assert.equal(await disabled.ended, false)
  await setEnabled(hackd.home, hackd.projectId, true)
  await eventually('the listener', () => hackd.url !== '')
})

test('followers are streams: so many and no more, until one leaves', async t => {
  const hackd = await startHackd(t, { config: { gateway: { maxStreams: { total: 2, perToken: 2 } } } })
  const job = await hackd.createJob({ command: ['sh', '-c', 'echo here; sleep 60'] })
  const followers = [new Follower(hackd, job), new Follower(hackd, job)]
  await eventually('both', () => followers.every(({ text }) => text === 'here\n'))
  const logs = hackd.jobs(`/${job.jobId}/logs`)
  const refusal = await hackd.call('GET', `${logs}?follow=1`)
  assert.deepEqual([refusal.status, refusal.body.error], [429, 'too_many_streams'])
  assert.equal((await hackd.call('GET', logs)).status, 200)
  followers[0]?.request.destroy()
  await eventually('a free place', async () => {
    const next = new Follower(hackd, job)
    await eventually('an answer', () => next.status !== 0)
    next.request.destroy()
    return next.status === 200
  })
  followers[1]?.request.destroy()
})

test('a client that stops reading costs hackd no memory, and another goes on', async t => {
  const hackd = await startHackd(t)
  const job = await hackd.createJob({ command: ['sh', '-c', 'head -c 50000000 /dev/zero; read x'], stdin: true })
  const stalled = new Follower(hackd, job)
  stalled.request.on('response', response => response.pause())
  const reader = new Follower(hackd, job)
  await eventually('the other', () => reader.text.length === 50_000_000, 60_000)
  stalled.request.destroy()
  reader.request.destroy()
  assert.equal((await hackd.call('GET', '/v1/status')).status, 200)
})

test('many answers on one connection leave nothing on it', async t => {
  const { url, get, sockets } = await listening(t)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  await get(url, agent)
  const [socket] = sockets
  assert.ok(socket)
  const before = socket.listenerCount('close')
  for (let round = 0; round < 30; round++) assert.equal(await get(`${url}?follow=1`, agent), 200)
  assert.equal(sockets.length, 1)
  assert.equal(socket.listenerCount('close'), before)
})

test('a follower whose intent cannot be put on record is refused, and holds no place', async t => {
  const { url, get, services } = await listening(t, { maxStreams: { total: 2, perToken: 2 } })
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  const persist = services.audit.persist.bind(services.audit)
  services.audit.persist = () => Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' }))
  for (let round = 0; round < 4; round++) assert.ok((await get(`${url}?follow=1`, agent)) >= 500)
  services.audit.persist = persist
  assert.equal(await get(`${url}?follow=1`, agent), 200)
})

/** A finished job behind a real listener. */
async function listening(t: TestContext, gateway: object = {}) {
  const projectId = '0123456789ab'
  const { app, services, bearer } = await buildTestApp(t, {
    projects: [projectId],
    config: { gateway: { allowWrites: true, ...gateway } },
  })
  const sockets: Socket[] = []
  app.server.on('connection', socket => sockets.push(socket))
  const base = await app.listen({ port: 0, host: '127.0.0.1' })
  const { job } = await services.supervisor.create(projectId, { command: ['true'] }, { owner: 'test', local: true })
  await eventually('the job', () => services.supervisor.get(projectId, job.jobId).status === 'completed')
  const get = async (url: string, agent: Agent): Promise<number> => {
    const [response] = await once(request(url, { headers: bearer, agent }).end(), 'response')
    await once(response.resume(), 'end')
    return response.statusCode
  }
  return { services, sockets, get, url: `${base}/control-plane/projects/${projectId}/jobs/${job.jobId}/logs` }
}
