import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { GatewayError } from '../../src/errors.js'
import { parseStat, statProcess } from '../../src/processes/identity.js'
import { create, fixture, logOf, projectId, startSupervisor, until } from './supervisor-setup.js'

/** Processes that bear the job's mark, or descend from a session of its leader, zombies aside. */
function survivors(jobId: string, script: string): string[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(pid => {
      try {
        const stat = parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'))
        const marked = readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`HACK_JOB_ID=${jobId}`)
        const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')
        return stat?.state !== 'Z' && (marked || command.includes(script)) ? [`${pid} ${command}`] : []
      } catch {
        return []
      }
    })
}

for (const [name, script] of [
  ['a process that ignores TERM', 'stubborn.sh'],
  ['a double fork', 'double-fork.sh'],
  ['a grandchild in a session of its own', 'own-session.sh'],
  ['a fork during the kill', 'fork-on-term.sh'],
  ['a child without the marked environment', 'bare-environment.sh'],
])
  test(`cancel leaves no survivor of ${name}`, async t => {
    const { supervisor } = await startSupervisor(t)
    const { jobId } = await create(supervisor, { command: [fixture(script ?? '')] })
    await until('it to be ready', async () => (await logOf(supervisor, jobId)).includes('ready'))
    await supervisor.cancel(projectId, jobId)
    const left = () => survivors(jobId, script ?? '')
    assert.deepEqual(
      left().filter(line => !line.includes('job-wrapper.sh')),
      [],
    )
    // The wrapper, which has put the end on record, goes by itself.
    await until('the wrapper to be gone', () => left().length === 0)
    const meta = supervisor.get(projectId, jobId)
    assert.equal(meta.status, 'cancelled')
    assert.equal(meta.signal, 'SIGKILL')
    const last = (await supervisor.events(projectId, jobId, 0)).at(-1)
    assert.deepEqual([last?.type, last?.payload], ['job.cancelled', { signal: 'SIGKILL' }])
  })

test('a job that obeys TERM is given the time to, and its last words are kept', async t => {
  const { supervisor } = await startSupervisor(t, config => {
    config.supervisor.cancelGraceMs = 10_000
  })
  const script = 'trap "echo goodbye; exit 5" TERM; echo ready; while :; do sleep 0.05; done'
  const { jobId } = await create(supervisor, { command: ['bash', '-c', script] })
  await until('it to be ready', async () => (await logOf(supervisor, jobId)).includes('ready'))
  await Promise.all([supervisor.cancel(projectId, jobId), supervisor.cancel(projectId, jobId)])
  const { status, signal, exitCode } = supervisor.get(projectId, jobId)
  assert.deepEqual({ status, signal, exitCode }, { status: 'cancelled', signal: 'SIGTERM', exitCode: 5 })
  assert.match((await logOf(supervisor, jobId)).toString(), /^ready\n(Terminated\n)?goodbye\n$/)
  await assert.rejects(
    supervisor.cancel(projectId, jobId),
    (error: unknown) => error instanceof GatewayError && error.code === 'job_not_running',
  )
})

test('a process that merely got the pid of an old leader is never signalled', async t => {
  const { supervisor } = await startSupervisor(t)
  const bystander = await create(supervisor, { command: ['sleep', '30'] })
  const { pid = 0 } = await until('it to run', () => {
    const meta = supervisor.get(projectId, bystander.jobId)
    return meta.status === 'running' && meta
  })
  const { endTree } = await import('../../src/processes/tree.js')
  const leader = { pid, startTime: '1@before' }
  assert.equal(
    await endTree({ query: { mark: 'HACK_JOB_ID=nobody', leader }, first: 'SIGTERM', graceMs: 0 }),
    'SIGTERM',
  )
  assert.ok(statProcess(pid))
  await supervisor.cancel(projectId, bystander.jobId)
})
