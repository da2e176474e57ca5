import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { InjectOptions, Response } from 'light-my-request'
import type { JobMeta } from '../../schemas/jobs.js'
import { createToken } from '../../src/auth/token-file.js'
import { buildTestApp, type TestAppOptions } from '../build-app.js'
import { eventually } from '../eventually.js'

const projectId = '0123456789ab'
const otherId = 'ba9876543210'

async function jobsApp(t: TestContext, options: TestAppOptions = {}) {
  const config = { gateway: { allowWrites: true }, supervisor: { cancelGraceMs: 300 }, ...options.config }
  // Hooks run in the order in which they were added: the jobs go before their home does.
  t.after(async () => {
    for (const job of services.supervisor.list(projectId, {}))
      await services.supervisor.cancel(projectId, job.jobId).catch(() => undefined)
  })
  const built = await buildTestApp(t, { projects: [projectId, otherId], ...options, config })
  const { app, services, bearer } = built
  const base = `/control-plane/projects/${projectId}/jobs`
  const ask = (method: InjectOptions['method'], rest = '', more: InjectOptions = {}) =>
    app.inject({ method, url: base + rest, ...more, headers: { ...bearer, ...more.headers } } as InjectOptions)
  const post = (payload: unknown, headers: Record<string, string> = {}) =>
    ask('POST', '', { payload: payload as object, headers: { 'content-type': 'application/json', ...headers } })
  const create = async (body: object): Promise<JobMeta> => {
    const reply = await post(body)
    assert.equal(reply.statusCode, 201, reply.body)
    return reply.json().job
  }
  const reach = async (jobId: string, ...statuses: string[]): Promise<JobMeta> => {
    let job: JobMeta | undefined
    await eventually(`${jobId} to be ${statuses}`, async () => {
      job = (await ask('GET', `/${jobId}`)).json().job
      return statuses.includes(job?.status ?? '')
    })
    return job as JobMeta
  }
  const repo = join(services.home.root, 'repositories', projectId)
  return { ...built, base, ask, post, create, reach, repo }
}

/** Every failure is a code and a sentence, and nothing else. */
function refused(reply: Response, status: number, code: string, says?: RegExp): void {
  assert.equal(reply.statusCode, status, reply.body)
  const { error, message, ...rest } = reply.json()
  assert.equal(error, code, message)
  assert.deepEqual(rest, {})
  assert.match(message, /^["A-Z].{10,400}[^\s]$/)
  if (says) assert.match(message, says)
}

const ended = ['completed', 'failed', 'cancelled']

test('a job is created, listed, fetched, and its record is whole', async t => {
  const { create, reach, ask, repo } = await jobsApp(t)
  const body = { command: ['sh', '-c', 'echo "$GREETING" in $(pwd)'], env: { GREETING: 'hello' }, label: 'greeting' }
  const job = await create(body)
  assert.equal(job.status, 'queued')
  const { createdAt, updatedAt, startedAt, finishedAt, pid, ...meta } = await reach(job.jobId, 'completed')
  assert.deepEqual(meta, {
    jobId: job.jobId,
    status: 'completed',
    runner: 'generic',
    command: body.command,
    projectId,
    projectName: projectId,
    lastEventSeq: 4,
    label: 'greeting',
    cwd: repo,
    exitCode: 0,
    logsBytes: `hello in ${repo}\n`.length,
  })
  const times = [createdAt, startedAt, finishedAt, updatedAt]
  assert.deepEqual(times, [...times].sort())
  assert.ok((pid ?? 0) > 1)
  assert.deepEqual((await ask('GET')).json().jobs, [(await ask('GET', `/${job.jobId}`)).json().job])
  const logs = await ask('GET', `/${job.jobId}/logs`)
  assert.equal(logs.headers['content-type'], 'application/octet-stream')
  assert.equal(logs.body, `hello in ${repo}\n`)
})

test('jobs are listed newest first, by status, so many, before one', async t => {
  const { create, reach, ask } = await jobsApp(t)
  const ids: string[] = []
  for (const code of [0, 1, 0, 1]) {
    const { jobId } = await create({ command: ['sh', '-c', `exit ${code}`] })
    await reach(jobId, ...ended)
    ids.unshift(jobId)
  }
  const list = async (query: string) => {
    const reply = await ask('GET', query)
    assert.equal(reply.statusCode, 200, reply.body)
    return reply.json().jobs.map((job: JobMeta) => ids.indexOf(job.jobId))
  }
  assert.deepEqual(await list(''), [0, 1, 2, 3])
  assert.deepEqual(await list('?limit=2'), [0, 1])
  assert.deepEqual(await list(`?limit=2&before=${ids[1]}`), [2, 3])
  assert.deepEqual(await list(`?before=${ids[3]}`), [])
  assert.deepEqual(await list('?status=failed'), [0, 2])
  assert.deepEqual(await list(`?status=completed&limit=1&before=${ids[1]}`), [3])
  assert.deepEqual(await list('?status=running'), [])
  refused(await ask('GET', '?before=nobody'), 404, 'job_not_found', /nobody/)
  for (const query of ['?status=exploded', '?limit=0', '?limit=-1', '?limit=x', '?limit=1.5', '?limit=1&limit=2'])
    refused(await ask('GET', query), 400, 'invalid_request', /status|limit/)
})

test('bodies that are no job are refused by name', async t => {
  const { post, ask, repo } = await jobsApp(t)
  mkdirSync(join(repo, 'sub'))
  writeFileSync(join(repo, 'a-file'), '')
  symlinkSync(tmpdir(), join(repo, 'leaves'))
  const command = ['true']
  for (const body of [undefined, {}, { command: [] }, { command: undefined, cwd: '.' }])
    refused(await post(body), 400, 'missing_command', /command/)
  for (const wrong of ['true', {}, 1, null, true, [1], [null], [[]], ['a', 2], ['a\0b'], ['\0']])
    refused(await post({ command: wrong }), 400, 'invalid_request', /command/)
  for (const cwd of [
    '..',
    '../..',
    '/',
    '/etc',
    tmpdir(),
    'leaves',
    'a-file',
    'missing',
    'sub/../..',
    'a\0b',
    1,
    null,
    {},
    [],
  ])
    refused(await post({ command, cwd }), 400, 'invalid_cwd', /project|cwd/)
  for (const env of [
    { '': 'x' },
    { '1A': 'x' },
    { 'A=B': 'x' },
    { 'A B': 'x' },
    { A: 1 },
    { A: null },
    { A: 'x\0' },
    [],
    'A=1',
    null,
    { ä: 'x' },
  ])
    refused(await post({ command, env }), 400, 'invalid_env')
  for (const runner of ['docker-of-nobody', '', '../generic', '__proto__', 'constructor'])
    refused(await post({ command, runner }), 400, 'unknown_runner', /generic/)
  for (const [field, values] of Object.entries({
    runner: [1, null, {}, []],
    timeoutMs: [0, -1, 1.5, '1000', null, 1e15],
    stdin: ['true', 1, null, {}],
    label: [1, null, 'x'.repeat(201), {}],
  }))
    for (const value of values)
      refused(await post({ command, [field]: value }), 400, 'invalid_request', new RegExp(field))
  for (const body of ['[]', '1', '"text"', 'true'])
    refused(
      await ask('POST', '', { payload: body, headers: { 'content-type': 'application/json' } }),
      400,
      'invalid_request',
    )
  assert.deepEqual((await ask('GET')).json().jobs, [])
  for (const cwd of ['.', 'sub', './sub/..', repo, join(repo, 'sub')])
    assert.equal((await post({ command, cwd })).statusCode, 201)
})

test('bodies that are no JSON, too large, too deep or of another type are refused', async t => {
  const { ask, post } = await jobsApp(t)
  const raw = (payload: string | Buffer, type = 'application/json') =>
    ask('POST', '', { payload, headers: { 'content-type': type } })
  for (const text of [
    '{',
    '{"command":["true"],}',
    'command',
    "{'command':[]}",
    '{"command":["true"]}x',
    '\0',
    '{"a":NaN}',
  ])
    refused(await raw(text), 400, 'invalid_json')
  refused(await raw(Buffer.from('{"command":["\xff"]}', 'latin1')), 400, 'invalid_json', /UTF-8/)
  refused(await raw(`{"command":["true"],"x":${'['.repeat(5000)}${']'.repeat(5000)}}`), 400, 'invalid_json', /deep/)
  refused(await raw('{"command":["true"],"__proto__":{"x":1}}'), 400, 'invalid_json')
  refused(await post({ command: ['true', 'x'.repeat(2 ** 20)] }), 413, 'body_too_large', /1 MiB/)
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'nonsense'])
    refused(await raw('{"command":["true"]}', type), 415, 'unsupported_media_type', /application\/json/)
  const large = await post({ command: ['true', ...Array(9).fill('x'.repeat(100_000))] })
  assert.equal(large.statusCode, 201)
  assert.equal((await post({ command: ['true'] })).statusCode, 201)
})

test('what is not there is not found, by each route', async t => {
  const { ask, app, bearer, create, reach } = await jobsApp(t)
  const { jobId } = await create({ command: ['true'] })
  await reach(jobId, 'completed')
  for (const id of [
    'nobody',
    '..',
    '%2e%2e%2f%2e%2e',
    jobId.toUpperCase(),
    `${jobId}x`,
    'x'.repeat(5000),
    '%00',
    '%F0%9F%99%82',
  ].filter(id => id !== '..')) {
    refused(await ask('GET', `/${id}`), 404, 'job_not_found')
    refused(await ask('GET', `/${id}/logs`), 404, 'job_not_found')
    refused(await ask('GET', `/${id}/events`), 404, 'job_not_found')
    refused(await ask('POST', `/${id}/cancel`), 404, 'job_not_found')
    refused(await ask('POST', `/${id}/input`, { payload: { data: 'x' } }), 404, 'job_not_found')
  }
  refused(await ask('GET', `/${jobId}/nothing`), 404, 'not_found')
  // Another project's jobs are not this one's.
  for (const rest of ['', '/logs', '/events'])
    refused(
      await app.inject({ url: `/control-plane/projects/${otherId}/jobs/${jobId}${rest}`, headers: bearer }),
      404,
      'job_not_found',
    )
  refused(await app.inject({ url: '/control-plane/projects/nobody/jobs', headers: bearer }), 403, 'project_disabled')
})

test('a path tells which methods it takes; a stream wants a WebSocket', async t => {
  const { ask, create } = await jobsApp(t)
  const { jobId } = await create({ command: ['true'] })
  for (const [method, rest, allow] of [
    ['DELETE', '', 'GET, HEAD, POST'],
    ['PUT', '', 'GET, HEAD, POST'],
    ['PATCH', `/${jobId}`, 'GET, HEAD'],
    ['POST', `/${jobId}`, 'GET, HEAD'],
    ['GET', `/${jobId}/cancel`, 'POST'],
    ['DELETE', `/${jobId}/cancel`, 'POST'],
    ['GET', `/${jobId}/input`, 'POST'],
    ['POST', `/${jobId}/logs`, 'GET, HEAD'],
    ['POST', `/${jobId}/events`, 'GET, HEAD'],
    ['POST', `/${jobId}/stream`, 'GET, HEAD'],
  ] as const) {
    const reply = await ask(method, rest)
    refused(reply, 405, 'method_not_allowed', /Allow/)
    assert.equal(String(reply.headers.allow).split(', ').sort().join(', '), allow, `${method} ${rest}`)
  }
  const plain = await ask('GET', `/${jobId}/stream`)
  refused(plain, 426, 'upgrade_required', /WebSocket/)
  assert.equal(plain.headers.upgrade, 'websocket')
})

test('events are those after a seq', async t => {
  const { ask, create, reach } = await jobsApp(t)
  const { jobId } = await create({ command: ['true'] })
  await reach(jobId, 'completed')
  const seqs = async (query = '') =>
    (await ask('GET', `/${jobId}/events${query}`)).json().events.map((event: { seq: number }) => event.seq)
  assert.deepEqual(await seqs(), [1, 2, 3, 4])
  assert.deepEqual(await seqs('?from=2'), [3, 4])
  assert.deepEqual(await seqs('?from=4'), [])
  assert.deepEqual(await seqs('?from=999999999'), [])
  for (const from of ['-1', 'x', '1.5', ''])
    refused(await ask('GET', `/${jobId}/events?from=${from}`), 400, 'invalid_request', /from/)
})

test('an Idempotency-Key makes one job, and refuses another body', async t => {
  const { post, ask, services, app, base } = await jobsApp(t)
  const key = { 'idempotency-key': 'once' }
  const first = await post({ command: ['true'], label: 'x' }, key)
  assert.equal(first.statusCode, 201)
  const again = await post({ label: 'x', command: ['true'] }, key)
  assert.equal(again.statusCode, 200)
  assert.equal(again.json().job.jobId, first.json().job.jobId)
  refused(await post({ command: ['true'], label: 'y' }, key), 409, 'idempotency_conflict', /key/)
  const many = await Promise.all(
    Array.from({ length: 8 }, () => post({ command: ['true'] }, { 'idempotency-key': 'race' })),
  )
  assert.equal(new Set(many.map(reply => reply.json().job.jobId)).size, 1)
  assert.equal(many.filter(reply => reply.statusCode === 201).length, 1)
  const { token } = await createToken(services.home, { scope: 'write' })
  await eventually('the other token', async () => {
    const reply = await app.inject({ url: base, headers: { authorization: `Bearer ${token}` } })
    return reply.statusCode === 200
  })
  const other = await post({ command: ['true'] }, { ...key, authorization: `Bearer ${token}` })
  assert.equal(other.statusCode, 201)
  for (const bad of ['', 'x'.repeat(256)])
    refused(await post({ command: ['true'] }, { 'idempotency-key': bad }), 400, 'invalid_request', /idempotency-key/)
  assert.equal((await ask('GET')).json().jobs.length, 3)
})

test('a job is cancelled once, and answered while it runs', async t => {
  const { ask, create, reach } = await jobsApp(t)
  const reader = await create({ command: ['cat'], stdin: true })
  const deaf = await create({ command: ['sleep', '60'] })
  await reach(reader.jobId, 'running')
  await reach(deaf.jobId, 'running')
  const input = (jobId: string, payload: object) => ask('POST', `/${jobId}/input`, { payload })
  for (const [body, field] of [
    [{}, /data/],
    [{ data: 1 }, /data/],
    [{ data: null }, /data/],
    [{ data: 'x', eof: 'yes' }, /eof/],
  ] as const)
    refused(await input(reader.jobId, body), 400, 'invalid_request', field)
  assert.equal((await input(reader.jobId, { data: 'zwölf\n' })).json().job.jobId, reader.jobId)
  assert.equal((await input(reader.jobId, { data: '', eof: true })).statusCode, 200)
  await reach(reader.jobId, 'completed')
  assert.equal((await ask('GET', `/${reader.jobId}/logs`)).body, 'zwölf\n')
  refused(await input(reader.jobId, { data: 'x' }), 409, 'job_not_running')
  refused(await input(deaf.jobId, { data: 'x' }), 409, 'stdin_closed', /stdin/)
  refused(await ask('POST', `/${reader.jobId}/cancel`), 409, 'job_not_running', /completed/)
  const replies = await Promise.all(Array.from({ length: 3 }, () => ask('POST', `/${deaf.jobId}/cancel`)))
  for (const reply of replies) assert.deepEqual([reply.statusCode, reply.json()], [200, { status: 'cancelled' }])
  assert.equal((await reach(deaf.jobId, ...ended)).status, 'cancelled')
  refused(await ask('POST', `/${deaf.jobId}/cancel`), 409, 'job_not_running', /cancelled/)
  refused(await input(deaf.jobId, { data: 'x' }), 409, 'job_not_running', /cancelled/)
})

test('a queue that is full says so', async t => {
  const { post, create, reach } = await jobsApp(t, {
    config: { supervisor: { maxConcurrentJobs: 1, maxQueuedJobs: 1, cancelGraceMs: 300 } },
  })
  const first = await create({ command: ['sleep', '60'] })
  await reach(first.jobId, 'running')
  await create({ command: ['true'] })
  refused(await post({ command: ['true'] }), 429, 'queue_full', /maxQueuedJobs/)
})

test('who may not write can watch, and not act', async t => {
  const { ask, post, services, app, base } = await jobsApp(t, { token: { scope: 'read' } })
  const { job } = await services.supervisor.create(projectId, { command: ['true'] }, { owner: 'local', local: true })
  refused(await post({ command: ['true'] }), 403, 'write_scope_required', /--scope write/)
  refused(await ask('POST', `/${job.jobId}/cancel`), 403, 'write_scope_required')
  refused(await ask('POST', `/${job.jobId}/input`, { payload: { data: 'x' } }), 403, 'write_scope_required')
  for (const rest of ['', `/${job.jobId}`, `/${job.jobId}/logs`, `/${job.jobId}/events`])
    assert.equal((await ask('GET', rest)).statusCode, 200)
  const { token } = await createToken(services.home, { scope: 'write', projects: [otherId] })
  const foreign = { authorization: `Bearer ${token}` }
  await eventually(
    'the other token',
    async () => (await app.inject({ url: '/v1/status', headers: foreign })).statusCode === 200,
  )
  for (const method of ['GET', 'POST'] as const)
    refused(await app.inject({ method, url: base, headers: foreign }), 403, 'project_disabled', /hack gateway enable/)
})

test('writes that are off stop every token, and not the admin socket', async t => {
  const { post, ask } = await jobsApp(t, { config: { gateway: { allowWrites: false } } })
  refused(await post({ command: ['true'] }), 403, 'writes_disabled', /allowWrites/)
  assert.equal((await ask('GET')).statusCode, 200)
  const local = await jobsApp(t, { door: 'local', config: { gateway: { allowWrites: false } } })
  const job = await local.create({ command: ['echo', 'by hand'] })
  assert.equal((await local.reach(job.jobId, ...ended)).status, 'completed')
})
