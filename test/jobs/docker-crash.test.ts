import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '../eventually.js'
import { assertGone, engine, engineTest, kinds, place, saysReady, survivors } from './docker-setup.js'

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex')

for (const kind of kinds) {
  engineTest(`${kind}: it outlives kill -9 of hackd, with its true end and its whole log`, async t => {
    const at = await place(t)
    const lines = 4000
    const script = `i=0; while [ $i -lt ${lines} ]; do i=$((i+1)); echo "line $i of some text, äöü"; done; sleep 1; printf 'no newline'; exit 9`
    const job = await at.run(kind, { command: ['sh', '-c', script] })
    await eventually('it to run', async () => (await at.hackd.job(job.jobId)).status === 'running')
    for (let round = 0; round < 3; round++) {
      await delay(Math.random() * 200)
      await at.hackd.kill('SIGKILL')
      await at.hackd.start()
    }
    const meta = await at.hackd.ended(job.jobId)
    assert.deepEqual([meta.status, meta.reason, meta.exitCode], ['failed', 'exit_code', 9])
    const text = Array.from({ length: lines }, (_, index) => `line ${index + 1} of some text, äöü\n`).join('')
    const log = readFileSync(join(at.hackd.home.jobs, at.hackd.projectId, job.jobId, 'combined.log'))
    assert.equal(sha256(log), sha256(`${text}no newline`))
    await assertGone(job.jobId)
  })

  engineTest(`${kind}: a cancel after kill -9 of hackd still ends it inside`, async t => {
    const at = await place(t, { supervisor: { cancelGraceMs: 500 } })
    const job = await at.run(kind, { command: ['sh', '-c', 'trap "" TERM; echo ready; while :; do sleep 1; done'] })
    await saysReady(at, job.jobId)
    await at.hackd.kill('SIGKILL')
    await at.hackd.start()
    await at.hackd.call('POST', at.hackd.jobs(`/${job.jobId}/cancel`))
    assert.equal((await at.hackd.ended(job.jobId)).status, 'cancelled')
    await assertGone(job.jobId)
  })

  engineTest(`${kind}: a job whose watching program is killed is lost, and nothing of it stays`, async t => {
    const at = await place(t)
    const job = await at.run(kind, { command: ['sh', '-c', 'echo ready; sleep 300'] })
    await saysReady(at, job.jobId)
    const pid = survivors(job.jobId)
      .find(line => line.split(' ')[1] === process.execPath)
      ?.split(' ')[0]
    process.kill(Number(pid), 'SIGKILL')
    const meta = await at.hackd.ended(job.jobId)
    assert.deepEqual([meta.status, meta.reason], ['failed', 'lost'])
    await assertGone(job.jobId)
  })
}

engineTest('jobs wait for one another like all others, and queued ones survive a restart', async t => {
  const at = await place(t, { supervisor: { maxConcurrentJobs: 1 } })
  const first = await at.run('image', { command: ['sh', '-c', 'echo ready; sleep 2'] })
  const second = await at.run('service', { command: ['sh', '-c', 'echo "$A"'], env: { A: 'kept' } })
  await saysReady(at, first.jobId)
  assert.equal((await at.hackd.job(second.jobId)).status, 'queued')
  await at.hackd.kill('SIGKILL')
  await at.hackd.start()
  assert.equal((await at.hackd.ended(second.jobId)).status, 'completed')
  assert.equal((await at.hackd.job(first.jobId)).status, 'completed')
  assert.equal(await at.log(second.jobId), 'kept\n')
})

engineTest('an engine that goes away in the middle, and comes back: its exit status, and the log', async t => {
  const at = await place(t)
  const fresh = await at.run('image', { command: ['sh', '-c', 'echo ready; sleep 300'] })
  const inside = await at.run('service', { command: ['sh', '-c', 'echo ready; sleep 300'] })
  await Promise.all([fresh, inside].map(({ jobId }) => saysReady(at, jobId)))
  await engine.down()
  await engine.up()
  for (const { jobId } of [fresh, inside]) {
    const meta = await at.hackd.ended(jobId)
    assert.equal(meta.status, 'failed')
    assert.ok(meta.reason === 'signal' || meta.reason === 'lost', `${meta.reason}`)
    assert.match(await at.log(jobId), /^ready\n/)
    assert.deepEqual(survivors(jobId), [])
  }
  assert.equal(await engine.docker('ps', '--all', '--quiet', '--filter', 'label=hackd.job'), '')
})

engineTest('an engine that hangs holds up the end of a job inside, and nothing else', async t => {
  const at = await place(t, { supervisor: { cancelGraceMs: 500 } })
  const jobs = await Promise.all(kinds.map(kind => at.run(kind, { command: ['sh', '-c', 'echo ready; sleep 300'] })))
  await Promise.all(jobs.map(({ jobId }) => saysReady(at, jobId)))
  engine.signal('SIGSTOP')
  try {
    const plain = await at.hackd.createJob({ command: ['true'] })
    assert.equal((await at.hackd.ended(plain.jobId)).status, 'completed')
    const cancels = jobs.map(({ jobId }) => at.hackd.call('POST', at.hackd.jobs(`/${jobId}/cancel`)))
    await Promise.all(cancels)
    for (const { jobId } of jobs) {
      assert.equal((await at.hackd.job(jobId)).status, 'cancelled')
      assert.deepEqual(survivors(jobId), [])
    }
  } finally {
    engine.signal('SIGCONT')
  }
  const next = await at.run('image', { command: ['true'] })
  await at.hackd.ended(next.jobId)
  for (const { jobId } of jobs) await assertGone(jobId)
})
