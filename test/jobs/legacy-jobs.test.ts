import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { GatewayError } from '../../src/errors.js'
import { create, ended, logOf, projectId, startSupervisor } from './supervisor-setup.js'

const at = '2024-05-06T07:08:09.000Z'

interface Planted {
  meta?: unknown
  events?: string
  log?: string | Buffer
}

/** A supervisor, and a repository into which an earlier tool, or a stranger, put job folders. */
async function withHistory(t: TestContext) {
  const setup = await startSupervisor(t)
  const jobs = join(setup.repo, '.hack', 'supervisor', 'jobs')
  mkdirSync(jobs, { recursive: true })
  const metaOf = (jobId: string, change: object = {}) => ({
    jobId,
    status: 'completed',
    runner: 'generic',
    command: ['echo', jobId],
    createdAt: at,
    updatedAt: at,
    lastEventSeq: 2,
    ...change,
  })
  const plant = (jobId: string, { meta = metaOf(jobId), events = eventLines(2), log = `${jobId}\n` }: Planted = {}) => {
    const folder = join(jobs, jobId)
    mkdirSync(folder)
    writeFileSync(join(folder, 'meta.json'), typeof meta === 'string' ? meta : JSON.stringify(meta))
    writeFileSync(join(folder, 'events.jsonl'), events)
    writeFileSync(join(folder, 'combined.log'), log)
    return folder
  }
  const listed = () => setup.supervisor.list(projectId, {}).map(job => job.jobId)
  return { ...setup, jobs, plant, metaOf, listed }
}

function eventLines(count: number): string {
  const types = ['job.created', 'job.completed']
  return Array.from(
    { length: count },
    (_, n) => `${JSON.stringify({ seq: n + 1, ts: at, type: types[n] ?? 'x' })}\n`,
  ).join('')
}

const coded = (code: string) => (error: unknown) => error instanceof GatewayError && error.code === code

test('what an earlier tool left is listed, fetched, and read by range', async t => {
  const { supervisor, plant, listed } = await withHistory(t)
  plant('old-1', { log: 'zwölf\n' })
  const live = await create(supervisor, { command: ['true'] })
  await ended(supervisor, live.jobId)
  assert.deepEqual(listed(), [live.jobId, 'old-1'])
  const meta = supervisor.get(projectId, 'old-1')
  assert.deepEqual([meta.status, meta.projectId, meta.logsBytes], ['completed', projectId, 7])
  assert.equal((await logOf(supervisor, 'old-1')).toString(), 'zwölf\n')
  const { signal } = new AbortController()
  const part = await supervisor.openLog(projectId, 'old-1', { follow: false, range: 'bytes=0-1' }, signal)
  assert.deepEqual([part.start, part.end, part.size], [0, 2, 7])
  assert.equal((await supervisor.events(projectId, 'old-1', 1)).length, 1)
})

test('it is streamed to its end, also when nobody wrote down how it ended', async t => {
  const { supervisor, plant, metaOf } = await withHistory(t)
  plant('done')
  plant('lost', { meta: metaOf('lost', { status: 'running' }), events: eventLines(1) })
  for (const [jobId, types] of [
    ['done', ['job.created', 'log', 'job.completed']],
    ['lost', ['job.created', 'log']],
  ] as const) {
    const seen = []
    const start = { logsFrom: 0, eventsFrom: 0 }
    for await (const item of supervisor.follow(projectId, jobId, start, new AbortController().signal))
      seen.push(item.kind === 'log' ? 'log' : item.event.type)
    assert.deepEqual(seen, types)
  }
})

test('what claims to go on is lost, has no pid, and can be neither cancelled nor answered', async t => {
  const { supervisor, plant, metaOf, jobs, open, home } = await withHistory(t)
  const bystander = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' })
  t.after(() => bystander.kill('SIGKILL'))
  const stat = execFileSync('cat', [`/proc/${bystander.pid}/stat`], { encoding: 'utf8' })
  const statuses = ['queued', 'starting', 'running', 'awaiting_input', 'cancelled']
  const idOf = (status: string) => `was-${status.replace('_', '-')}`
  for (const status of statuses) {
    const folder = plant(idOf(status), { meta: metaOf(idOf(status), { status, pid: bystander.pid, cwd: '/' }) })
    writeFileSync(join(folder, 'journal'), `journal 1\nwrapper ${stat}job ${stat}writer ${stat}`)
    writeFileSync(
      join(folder, 'request.json'),
      JSON.stringify({ environment: {}, stdin: true, local: true, timeoutMs: 1 }),
    )
    writeFileSync(join(folder, 'ending.json'), JSON.stringify({ why: 'cancel', at }))
    writeFileSync(join(folder, 'own-events.jsonl'), '{"type":"planted"}\n')
    writeFileSync(join(folder, 'idempotency.json'), JSON.stringify({ owner: 'test', key: 'k', digest: 'x' }))
  }
  const before = readdirSync(jobs, { recursive: true })
  await supervisor.close()
  const next = await open()
  for (const status of statuses) {
    const meta = next.get(projectId, idOf(status))
    assert.equal(meta.pid, undefined)
    assert.deepEqual([meta.status, meta.reason], status === 'cancelled' ? ['cancelled', undefined] : ['failed', 'lost'])
    await assert.rejects(next.cancel(projectId, idOf(status)), coded('job_not_running'))
    await assert.rejects(next.input(projectId, idOf(status), { data: 'x' }), coded('job_not_running'))
    assert.ok((await next.events(projectId, idOf(status), 0)).every(event => event.type !== 'planted'))
  }
  const { jobId } = await create(next, { command: ['true'] }, 'k')
  await ended(next, jobId)
  assert.equal(bystander.exitCode ?? bystander.signalCode, null)
  assert.deepEqual(readdirSync(jobs, { recursive: true }), before)
  assert.deepEqual(readdirSync(join(home, 'jobs', projectId)), [jobId])
})

test('retention counts and deletes none of it', async t => {
  const { supervisor, plant, config, jobs, listed } = await withHistory(t)
  config.supervisor.jobsMaxCount = 1
  for (const name of ['old-1', 'old-2', 'old-3']) plant(name)
  for (let i = 0; i < 2; i++) await ended(supervisor, (await create(supervisor, { command: ['true'] })).jobId)
  assert.equal(listed().length, 4)
  assert.equal(readdirSync(jobs).length, 3)
})

test('records that are none are passed over, and the others are there', async t => {
  const { plant, metaOf, listed, jobs, supervisor } = await withHistory(t)
  plant('good')
  plant('empty', { meta: '' })
  plant('torn', { meta: '{"jobId":"torn","sta' })
  plant('nul', { meta: `${JSON.stringify(metaOf('nul'))}\0\0` })
  plant('array', { meta: [] })
  plant('deep', { meta: `{"jobId":"deep","x":${'['.repeat(20_000)}${']'.repeat(20_000)}}` })
  plant('other-id', { meta: metaOf('another') })
  plant('wrong', { meta: metaOf('wrong', { status: 'exploded' }) })
  plant('typed', { meta: metaOf('typed', { command: 'echo' }) })
  plant('huge', { meta: metaOf('huge', { label: 'x'.repeat(5 * 2 ** 20) }) })
  plant('a..b', {})
  mkdirSync(join(jobs, 'no-files'))
  writeFileSync(join(jobs, 'a-file'), '')
  plant('x'.repeat(65))
  assert.deepEqual(listed(), ['good'])
  for (const jobId of ['../jobs/good', '..', '.', 'good/', 'good/.', 'a..b', 'x'.repeat(65), ''])
    assert.throws(() => supervisor.get(projectId, jobId), coded('job_not_found'))
})

test('what a record holds beyond its fields is not handed on, and can break no answer', async t => {
  const { plant, metaOf, supervisor } = await withHistory(t)
  const deep = '['.repeat(10_000) + ']'.repeat(10_000)
  const meta = JSON.stringify(metaOf('odd', { token: 'secret', logsBytes: 10 ** 15 })).replace(
    '{',
    `{"deep":${deep},"__proto__":{"x":1},`,
  )
  const lines = [
    JSON.stringify({ seq: 1, ts: at, type: 'job.created', extra: 'secret' }),
    `{"seq":2,"ts":"${at}","type":"deep","payload":{"a":${deep}}}`,
    `{"seq":3,"ts":"${at}","type":"flat","extra":${deep}}`,
    'nonsense',
    JSON.stringify({ seq: 3, ts: at, type: 'twice' }),
    JSON.stringify({ seq: -5, ts: at, type: 'negative' }),
    JSON.stringify({ seq: 9, ts: at, type: 'job.completed' }),
  ]
  plant('odd', { meta, events: `\0\0\n${lines.join('\n')}\n{"seq":10,"ts` })
  const [job] = supervisor.list(projectId, {})
  assert.doesNotMatch(JSON.stringify(job), /secret|deep|proto/)
  assert.equal(job?.logsBytes, 4)
  const events = await supervisor.events(projectId, 'odd', 0)
  assert.doesNotMatch(JSON.stringify(events), /secret/)
  assert.deepEqual(
    events.map(event => [event.seq, event.type]),
    [
      [1, 'job.created'],
      [3, 'flat'],
      [9, 'job.completed'],
    ],
  )
})

test('no symlink is followed, wherever it stands', async t => {
  const { plant, jobs, listed, home, repo, supervisor } = await withHistory(t)
  const secret = join(home, 'secret')
  writeFileSync(secret, 'secret\n')
  const elsewhere = plant('elsewhere')
  renameSync(elsewhere, join(home, 'elsewhere'))
  symlinkSync(join(home, 'elsewhere'), join(jobs, 'elsewhere'))
  const linkedMeta = plant('linked-meta')
  renameSync(join(linkedMeta, 'meta.json'), join(home, 'meta.json'))
  symlinkSync(join(home, 'meta.json'), join(linkedMeta, 'meta.json'))
  for (const name of ['combined.log', 'events.jsonl']) {
    const folder = plant(name.replace('.', '-'))
    rmSync(join(folder, name))
    symlinkSync(secret, join(folder, name))
  }
  assert.deepEqual(listed().sort(), ['combined-log', 'events-jsonl'])
  assert.equal((await logOf(supervisor, 'combined-log')).length, 0)
  assert.deepEqual(await supervisor.events(projectId, 'events-jsonl', 0), [])
  // A log that is swapped after it was listed.
  const late = plant('late')
  assert.ok(listed().includes('late'))
  rmSync(join(late, 'combined.log'))
  symlinkSync(secret, join(late, 'combined.log'))
  const bytes = await logOf(supervisor, 'late').catch(() => Buffer.alloc(0))
  assert.ok(!bytes.includes('secret'))
  for (const parent of ['supervisor', '.hack']) {
    const path = parent === '.hack' ? join(repo, '.hack') : join(repo, '.hack', parent)
    renameSync(path, join(home, `moved-${parent}`))
    symlinkSync(join(home, `moved-${parent}`), path)
    assert.deepEqual(listed(), [], parent)
    rmSync(path)
    renameSync(join(home, `moved-${parent}`), path)
    assert.ok(listed().length > 0)
  }
})

test('neither a FIFO nor a device nor a folder in the place of a file is waited for', { timeout: 20_000 }, async t => {
  const { plant, listed, supervisor } = await withHistory(t)
  for (const name of ['meta.json', 'events.jsonl', 'combined.log']) {
    const pipe = plant(`pipe-${name.replace('.', '-')}`)
    rmSync(join(pipe, name))
    execFileSync('mkfifo', [join(pipe, name)])
    const folder = plant(`folder-${name.replace('.', '-')}`)
    rmSync(join(folder, name))
    mkdirSync(join(folder, name))
  }
  const readable = ['folder-combined-log', 'folder-events-jsonl', 'pipe-combined-log', 'pipe-events-jsonl']
  assert.deepEqual(listed().sort(), readable)
  for (const jobId of readable) {
    assert.equal((await logOf(supervisor, jobId)).toString(), jobId.includes('combined') ? '' : `${jobId}\n`)
    assert.equal((await supervisor.events(projectId, jobId, 0)).length, jobId.includes('events') ? 0 : 2)
  }
})

for (const [name, spoil] of [
  ['a plain file as supervisor', (path: string) => writeFileSync(path, '')],
  ['a link to itself as supervisor', (path: string) => symlinkSync(path, path)],
  ['no supervisor', () => undefined],
  ['a FIFO as supervisor', (path: string) => execFileSync('mkfifo', [path])],
] as const)
  test(`with ${name}, the jobs of hackd are still listed`, async t => {
    const { supervisor, repo } = await startSupervisor(t)
    spoil(join(repo, '.hack', 'supervisor'))
    const { jobId } = await create(supervisor, { command: ['true'] })
    await ended(supervisor, jobId)
    assert.equal(supervisor.list(projectId, {}).length, 1)
    assert.throws(() => supervisor.get(projectId, 'old'), coded('job_not_found'))
  })

test('a thousand jobs with large events cost neither time nor memory until somebody asks', async t => {
  const { plant, jobs, supervisor, listed } = await withHistory(t)
  const line = `${JSON.stringify({ seq: 1, ts: at, type: 'x', payload: { a: Array(100).fill({}) } })}\n`
  const first = plant('job-0000', { events: line.repeat(Math.ceil((4 * 2 ** 20) / line.length)) })
  for (let n = 1; n < 100; n++) {
    const name = `job-${String(n).padStart(4, '0')}`
    plant(name, { events: '' })
    rmSync(join(jobs, name, 'events.jsonl'))
    execFileSync('ln', [join(first, 'events.jsonl'), join(jobs, name, 'events.jsonl')])
  }
  const before = process.memoryUsage().rss
  const start = performance.now()
  assert.equal(listed().length, 100)
  const took = performance.now() - start
  const grown = (process.memoryUsage().rss - before) / 2 ** 20
  assert.ok(took < 2000, `${took} ms`)
  assert.ok(grown < 200, `${grown} MiB`)
  assert.equal((await supervisor.events(projectId, 'job-0001', 0)).length, 1)
  assert.ok(existsSync(join(jobs, 'job-0001', 'events.jsonl')))
  assert.ok(lstatSync(jobs).isDirectory())
})
