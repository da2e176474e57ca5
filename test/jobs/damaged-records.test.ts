import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { JobMeta } from '../../schemas/jobs.js'
import { create, ended, logOf, projectId, startSupervisor, until } from './supervisor-setup.js'

/** Two finished jobs on disk, and no supervisor: the one whose files are damaged, and one that must not suffer from it. */
async function twoJobs(t: TestContext) {
  const setup = await startSupervisor(t)
  const [victim, witness] = [
    await create(setup.supervisor, { command: ['echo', 'victim'] }),
    await create(setup.supervisor, { command: ['echo', 'witness'] }),
  ]
  await ended(setup.supervisor, victim.jobId)
  await ended(setup.supervisor, witness.jobId)
  await setup.supervisor.close()
  const folder = join(setup.home, 'jobs', projectId, victim.jobId)
  return { ...setup, victim, witness, folder, path: (name: string) => join(folder, name) }
}

/** Opens a new supervisor, asks all that can be asked, and closes it. */
async function look({ open, problems }: Awaited<ReturnType<typeof twoJobs>>, victim: string, witness: string) {
  problems.length = 0
  const supervisor = await open()
  try {
    assert.equal(supervisor.get(projectId, witness).status, 'completed')
    assert.equal((await logOf(supervisor, witness)).toString(), 'witness\n')
    assert.equal((await supervisor.events(projectId, witness, 0)).length, 4)
    const jobs = supervisor.list(projectId, {})
    const meta = jobs.find(job => job.jobId === victim)
    const events = meta ? await supervisor.events(projectId, victim, 0) : []
    return { meta, events, problems: [...problems] }
  } finally {
    await supervisor.close()
  }
}

test('events.jsonl cut at every byte of its last record: the records before it are returned, the damage is told', async t => {
  const setup = await twoJobs(t)
  const path = setup.path('events.jsonl')
  const whole = readFileSync(path)
  const last = whole.lastIndexOf(0x0a, whole.length - 2) + 1
  for (let cut = last; cut < whole.length; cut++) {
    writeFileSync(path, whole.subarray(0, cut))
    const { meta, events, problems } = await look(setup, setup.victim.jobId, setup.witness.jobId)
    assert.equal(meta?.status, 'completed')
    // A record that lacks nothing but its newline is whole.
    const expected = cut === whole.length - 1 ? 4 : 3
    assert.deepEqual(
      events.map(event => event.seq),
      [1, 2, 3, 4].slice(0, expected),
    )
    const isTorn = cut > last && cut < whole.length - 1
    assert.equal(
      problems.some(problem => problem.includes('events.jsonl')),
      isTorn,
      `cut at ${cut}: ${problems}`,
    )
  }
})

for (const [name, damage] of [
  ['NULs at its end', whole => Buffer.concat([whole, Buffer.alloc(100)])],
  ['NULs in the place of a line', whole => Buffer.concat([Buffer.alloc(100), Buffer.from('\n'), whole])],
  ['a line twice', whole => Buffer.concat([whole, whole.subarray(whole.lastIndexOf(0x0a, -2) + 1)])],
  ['all lines twice', whole => Buffer.concat([whole, whole])],
] as [string, (whole: Buffer) => Buffer][])
  test(`events.jsonl with ${name} still holds each event once, and the damage is told`, async t => {
    const setup = await twoJobs(t)
    writeFileSync(setup.path('events.jsonl'), damage(readFileSync(setup.path('events.jsonl'))))
    const { events, problems } = await look(setup, setup.victim.jobId, setup.witness.jobId)
    assert.deepEqual(
      events.map(event => event.seq),
      [1, 2, 3, 4],
    )
    assert.ok(problems.some(problem => problem.includes('events.jsonl')))
  })

test('meta.json cut at any byte: the other jobs are there, the damage is told, the folder is left', async t => {
  const setup = await twoJobs(t)
  const whole = readFileSync(setup.path('meta.json'))
  const cuts = [0, 1, 2, 10, 57, 100, whole.length >> 1, whole.length - 20, whole.length - 3]
  const contents = cuts.map(cut => whole.subarray(0, cut))
  for (const content of [
    ...contents,
    Buffer.alloc(whole.length),
    Buffer.from('[]'),
    Buffer.from('{"jobId":"other"}'),
  ]) {
    writeFileSync(setup.path('meta.json'), content)
    const { meta, problems } = await look(setup, setup.victim.jobId, setup.witness.jobId)
    assert.equal(meta, undefined)
    assert.ok(problems.some(problem => problem.includes(setup.victim.jobId) && problem.includes('meta.json')))
    assert.ok(existsSync(setup.folder))
  }
  rmSync(setup.path('meta.json'))
  await look(setup, setup.victim.jobId, setup.witness.jobId)
})

/** As it is on disk when hackd was killed between an event and its meta. */
function oneBehind(path: string): JobMeta {
  const { finishedAt, exitCode, logsBytes, ...meta } = JSON.parse(readFileSync(path, 'utf8'))
  return { ...meta, status: 'running', lastEventSeq: 3 }
}

for (const [name, damage] of [
  ['nothing else missing', () => undefined],
  ['its log missing', path => rmSync(path('combined.log'))],
  ['its journal missing', path => rmSync(path('journal'))],
  ['its request empty', path => writeFileSync(path('request.json'), '')],
] as [string, (path: (name: string) => string) => void][])
  test(`meta.json one step behind, with ${name}: the end on record counts`, async t => {
    const setup = await twoJobs(t)
    writeFileSync(setup.path('meta.json'), JSON.stringify(oneBehind(setup.path('meta.json'))))
    damage(setup.path)
    const { meta, events } = await look(setup, setup.victim.jobId, setup.witness.jobId)
    assert.equal(meta?.status, 'completed')
    assert.equal(meta?.exitCode, 0)
    assert.equal(events.length, 4)
  })

for (const [name, damage, expected] of [
  ['no events.jsonl', path => rmSync(path('events.jsonl')), 'completed'],
  [
    'an events.jsonl that is a folder',
    path => {
      rmSync(path('events.jsonl'))
      mkdirSync(path('events.jsonl'))
    },
    'completed',
  ],
  ['an empty journal', path => writeFileSync(path('journal'), ''), 'failed'],
  ['no journal', path => rmSync(path('journal')), 'failed'],
  ['a damaged ending.json', path => writeFileSync(path('ending.json'), '{"why":'), 'completed'],
] as [string, (path: (name: string) => string) => void, string][])
  test(`a job on record as running, with ${name}, comes to an end`, async t => {
    const setup = await twoJobs(t)
    writeFileSync(setup.path('meta.json'), JSON.stringify(oneBehind(setup.path('meta.json'))))
    const events = readFileSync(setup.path('events.jsonl'), 'utf8').trimEnd().split('\n')
    writeFileSync(setup.path('events.jsonl'), `${events.slice(0, 3).join('\n')}\n`)
    damage(setup.path)
    const supervisor = await setup.open()
    const meta = await ended(supervisor, setup.victim.jobId)
    assert.equal(meta.status, expected)
    if (expected === 'failed') assert.equal(meta.reason, 'lost')
    assert.equal(supervisor.get(projectId, setup.witness.jobId).status, 'completed')
    assert.equal((await logOf(supervisor, setup.victim.jobId)).toString(), 'victim\n')
  })

test('a queued job whose request is damaged is never run with another one', async t => {
  const { supervisor, open, config, home, repo, problems } = await startSupervisor(t)
  config.gateway.allowWrites = false
  const ask = (name: string) =>
    create(supervisor, { command: ['sh', '-c', `echo "$NAME" >${name}`], env: { NAME: name } })
  const [damaged, whole] = [await ask('damaged'), await ask('whole')]
  await supervisor.close()
  const path = join(home, 'jobs', projectId, damaged.jobId, 'request.json')
  writeFileSync(path, readFileSync(path).subarray(0, 20))
  config.gateway.allowWrites = true
  const next = await open()
  const meta = await ended(next, damaged.jobId)
  assert.deepEqual([meta.status, meta.reason], ['failed', 'lost'])
  assert.equal((await ended(next, whole.jobId)).status, 'completed')
  assert.ok(!existsSync(join(repo, 'damaged')))
  assert.equal(readFileSync(join(repo, 'whole'), 'utf8'), 'whole\n')
  assert.equal(problems.filter(problem => problem.includes('request.json')).length, 1)
})

test('a job whose start is lost from its record is not started again', async t => {
  const { supervisor, open, home, repo } = await startSupervisor(t)
  const job = await create(supervisor, { command: ['sh', '-c', 'echo once >>count; sleep 1'] })
  await until('the job', () => existsSync(join(repo, 'count')))
  await supervisor.close()
  const path = (name: string) => join(home, 'jobs', projectId, job.jobId, name)
  const [created] = readFileSync(path('events.jsonl'), 'utf8').split('\n')
  writeFileSync(path('events.jsonl'), `${created}\n`)
  const { startedAt, pid, ...meta } = JSON.parse(readFileSync(path('meta.json'), 'utf8'))
  writeFileSync(path('meta.json'), JSON.stringify({ ...meta, status: 'queued', lastEventSeq: 1 }))
  const next = await open()
  assert.equal((await ended(next, job.jobId)).status, 'completed')
  assert.equal(readFileSync(join(repo, 'count'), 'utf8'), 'once\n')
})

test('an event that the job nests without end costs the job nothing', async t => {
  const { supervisor } = await startSupervisor(t)
  const script = `
    { printf '{"type":"deep","payload":{"a":'; printf '[%.0s' $(seq 20000); printf ']%.0s' $(seq 20000); echo '}}'
      echo '{"type":"fine"}'; } >>"$HACK_JOB_EVENTS"`
  const job = await create(supervisor, { command: ['bash', '-c', script] })
  await ended(supervisor, job.jobId)
  const types = (await supervisor.events(projectId, job.jobId, 3)).map(event => event.type)
  assert.deepEqual(types, ['fine', 'job.completed'])
})

test('what a job says of itself at once comes after its start, and counts', async t => {
  const { supervisor } = await startSupervisor(t)
  for (let round = 0; round < 20; round++) {
    const script = 'echo \'{"type":"awaiting_input"}\' >>"$HACK_JOB_EVENTS"; read line'
    const job = await create(supervisor, { command: ['sh', '-c', script], stdin: true })
    await until('the question', () => supervisor.get(projectId, job.jobId).status === 'awaiting_input')
    await supervisor.input(projectId, job.jobId, { data: 'x\n' })
    await ended(supervisor, job.jobId)
    const types = (await supervisor.events(projectId, job.jobId, 2)).map(event => event.type)
    assert.deepEqual(types, ['job.started', 'awaiting_input', 'job.awaiting_input', 'job.input', 'job.completed'])
  }
})

test('an argument that the kernel refuses fails the job, and leaves no watch behind', async t => {
  const { supervisor } = await startSupervisor(t)
  const before = inotifyWatches()
  const job = await create(supervisor, { command: ['echo', 'x'.repeat(200_000)] })
  const meta = await ended(supervisor, job.jobId)
  assert.equal(meta.reason, 'spawn_error')
  await until('the watches to go', () => inotifyWatches() === before)
})

/** How many files this process watches (proc(5), /proc/<pid>/fdinfo). */
function inotifyWatches(): number {
  const texts = readdirSync('/proc/self/fdinfo').map(fd => {
    try {
      return readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')
    } catch {
      return ''
    }
  })
  return texts.join('').split('inotify wd:').length - 1
}
