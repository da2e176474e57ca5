import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '../eventually.js'
import { startHackd } from '../hackd.js'
import { assertGone, engine, engineTest, kinds, place, saysReady } from './docker-setup.js'

for (const kind of kinds) {
  engineTest(`${kind}: exit status, output of both streams, environment and folder are the job's`, async t => {
    const at = await place(t)
    const script = 'echo "$GREETING $HACK_JOB_ID $HACK_PROJECT_ID"; pwd; echo to stderr >&2; exit 7'
    const job = await at.run(kind, { command: ['sh', '-c', script], env: { GREETING: 'hällo' }, cwd: 'sub' })
    const meta = await at.hackd.ended(job.jobId)
    assert.deepEqual([meta.status, meta.reason, meta.exitCode, meta.runner], ['failed', 'exit_code', 7, 'docker'])
    assert.equal(meta.pid, undefined)
    assert.ok(meta.startedAt)
    const folder = kind === 'service' ? '/code/sub' : join(at.hackd.repo, 'sub')
    const lines = (await at.log(job.jobId)).split('\n')
    assert.deepEqual(lines.toSorted(), [`hällo ${job.jobId} ${at.hackd.projectId}`, folder, 'to stderr', ''].toSorted())
    const types = (await at.events(job.jobId)).map(({ type }) => type)
    assert.deepEqual(types, ['job.created', 'job.starting', 'job.started', 'job.failed'])
    const good = await at.hackd.ended((await at.run(kind, { command: ['true'] })).jobId)
    assert.deepEqual([good.status, good.exitCode], ['completed', 0])
    await assertGone(job.jobId)
    assert.equal(readdirSync(join(at.hackd.home.jobs, at.hackd.projectId, job.jobId)).includes('task.json'), false)
  })

  engineTest(`${kind}: a signal that ended it, and a timeout, are told`, async t => {
    const at = await place(t)
    const killed = await at.run(kind, { command: ['sh', '-c', 'kill -KILL $$'] })
    const late = await at.run(kind, { command: ['sleep', '300'], timeoutMs: 2000 })
    const [end, timeout] = await Promise.all([at.hackd.ended(killed.jobId), at.hackd.ended(late.jobId)])
    assert.deepEqual([end.reason, end.signal, end.exitCode], ['signal', 'SIGKILL', 137])
    assert.deepEqual([timeout.status, timeout.reason], ['failed', 'timeout'])
    await assertGone(late.jobId)
  })

  engineTest(`${kind}: cancel gives the time for last words, and leaves nothing of what is stubborn`, async t => {
    const at = await place(t, { supervisor: { cancelGraceMs: 1500 } })
    const polite = await at.run(kind, {
      command: ['sh', '-c', 'trap "echo goodbye; exit 5" TERM; echo ready; while :; do sleep 0.05; done'],
    })
    await saysReady(at, polite.jobId)
    assert.equal((await at.hackd.call('POST', at.hackd.jobs(`/${polite.jobId}/cancel`))).status, 200)
    const { status, signal, exitCode } = await at.hackd.job(polite.jobId)
    assert.deepEqual({ status, signal, exitCode }, { status: 'cancelled', signal: 'SIGTERM', exitCode: 5 })
    // The shell reports the end of its sleep on the other stream: nothing orders the two.
    assert.equal((await at.log(polite.jobId)).replace('Terminated\n', ''), 'ready\ngoodbye\n')
    await assertGone(polite.jobId)

    const stubborn = `trap "" TERM; (setsid sh -c 'trap "" TERM; (sleep 301 & sleep 301) & sleep 301' &) ; echo ready; while :; do sleep 1; done`
    const job = await at.run(kind, { command: ['sh', '-c', stubborn] })
    await saysReady(at, job.jobId)
    assert.equal((await at.hackd.call('POST', at.hackd.jobs(`/${job.jobId}/cancel`))).status, 200)
    const meta = await at.hackd.job(job.jobId)
    assert.deepEqual([meta.status, meta.signal], ['cancelled', 'SIGKILL'])
    await assertGone(job.jobId)
    assert.equal(await engine.docker('inspect', '--format', '{{.State.Running}}', at.container), 'true')
    assert.doesNotMatch(await engine.docker('top', at.container), /sleep 301/)
  })

  engineTest(`${kind}: a cancel at any moment of its start leaves nothing`, async t => {
    const at = await place(t, { supervisor: { cancelGraceMs: 1000, maxConcurrentJobs: 8 } })
    const cancelled = async (_: unknown, round: number) => {
      const { jobId } = await at.run(kind, { command: ['sleep', '300'] })
      await delay(round * 100)
      assert.equal((await at.hackd.call('POST', at.hackd.jobs(`/${jobId}/cancel`))).status, 200)
      assert.equal((await at.hackd.job(jobId)).status, 'cancelled')
      await assertGone(jobId)
    }
    await Promise.all(Array.from({ length: 8 }, cancelled))
  })

  engineTest(`${kind}: input reaches it, and its end`, async t => {
    const at = await place(t)
    const job = await at.run(kind, { command: ['sh', '-c', 'echo ready; cat; echo over'], stdin: true })
    await saysReady(at, job.jobId)
    const input = (body: object) => at.hackd.call('POST', at.hackd.jobs(`/${job.jobId}/input`), body)
    assert.equal((await input({ data: 'one\n' })).status, 200)
    await eventually('an echo', async () => (await at.log(job.jobId)).includes('one'))
    assert.equal((await input({ data: 'two\n', eof: true })).status, 200)
    assert.equal((await at.hackd.ended(job.jobId)).status, 'completed')
    assert.equal(await at.log(job.jobId), 'ready\none\ntwo\nover\n')
  })

  engineTest(`${kind}: a log that would grow past its limit ends the job`, async t => {
    const at = await place(t, { supervisor: { logsMaxBytes: 1024 * 1024 } })
    const job = await at.run(kind, { command: ['sh', '-c', 'while :; do echo 0123456789012345678901234567890; done'] })
    const meta = await at.hackd.ended(job.jobId)
    assert.deepEqual([meta.status, meta.reason, meta.logsBytes], ['failed', 'log_limit', 1024 * 1024])
    await assertGone(job.jobId)
  })
}

engineTest("image: files are the caller's, and events of its own arrive", async t => {
  const at = await place(t)
  writeFileSync(join(at.hackd.repo, 'given'), 'from outside')
  const script = 'cat given; id -u >made; echo \'{"type":"step","payload":{"n":1}}\' >>"$HACK_JOB_EVENTS"'
  const job = await at.run('image', { command: ['sh', '-c', script] })
  assert.equal((await at.hackd.ended(job.jobId)).status, 'completed')
  assert.equal(await at.log(job.jobId), 'from outside')
  const made = join(at.hackd.repo, 'made')
  assert.equal(readFileSync(made, 'utf8'), `${process.getuid?.()}\n`)
  assert.equal(statSync(made).uid, process.getuid?.())
  assert.ok((await at.events(job.jobId)).some(({ type }) => type === 'step'))
})

engineTest('what is not there fails with the sentence that says so, in the log and in the event', async t => {
  const at = await place(t)
  for (const [docker, command, sentence] of [
    [{ image: 'nobody/has:this' }, ['true'], /no such image: nobody\/has:this/i],
    [{ image: 'nobody.invalid/has:this', pull: true }, ['true'], /nobody\.invalid/],
    [{ service: 'nothing' }, ['true'], /the service "nothing" of "demo" has no running container/],
    [{ service: 'web' }, ['no-such-program'], /no-such-program.*not found/],
    [{ image: engine.image }, ['no-such-program'], /no-such-program.*(not found|No such file)/],
  ] as const) {
    const job = await at.hackd.createJob({ runner: 'docker', docker, command: [...command] })
    const meta = await at.hackd.ended(job.jobId)
    assert.equal(meta.status, 'failed')
    assert.match(await at.log(job.jobId), sentence)
    const last = (await at.events(job.jobId)).at(-1)
    assert.equal(last?.payload?.reason, 'spawn_error', JSON.stringify(last))
    assert.match(String(last?.payload?.error), sentence)
    await assertGone(job.jobId)
  }
})

test('an engine that is away fails the job, and disturbs nobody', async t => {
  const hackd = await startHackd(t, { config: { runtime: { dockerHost: 'unix:///nowhere/docker.sock' } } })
  const job = await hackd.createJob({ runner: 'docker', docker: { image: 'any' }, command: ['true'] })
  const meta = await hackd.ended(job.jobId)
  assert.deepEqual([meta.status, meta.reason], ['failed', 'spawn_error'])
  const { events } = (await hackd.call('GET', hackd.jobs(`/${job.jobId}/events`))).body
  assert.match(events.at(-1).payload.error, /\/nowhere\/docker\.sock/)
  assert.equal((await hackd.ended((await hackd.createJob({ command: ['true'] })).jobId)).status, 'completed')
})

test('a body that does not say where, or says it twice, is refused with what to do', async t => {
  const hackd = await startHackd(t)
  for (const [body, code, sentence] of [
    [{ runner: 'docker' }, 'invalid_request', /"docker": \{"service": NAME\}/],
    [{ runner: 'docker', docker: {} }, 'invalid_request', /one of the two/],
    [{ runner: 'docker', docker: { service: 'a', image: 'b' } }, 'invalid_request', /one of the two/],
    [{ runner: 'docker', docker: { service: 'a', pull: true } }, 'invalid_request', /docker\.pull/],
    [{ docker: { service: 'a' } }, 'invalid_request', /"runner": "docker"/],
    [{ runner: 'podman' }, 'unknown_runner', /podman/],
  ] as const) {
    const reply = await hackd.call('POST', hackd.jobs(), { command: ['true'], ...body })
    assert.deepEqual([reply.status, reply.body.error], [400, code], JSON.stringify(body))
    assert.match(reply.body.message, sentence)
  }
})
