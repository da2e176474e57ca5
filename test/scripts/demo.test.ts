import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { createToken } from '../../src/auth/token-file.js'
import { startHackd } from '../hackd.js'
import { temporaryFolder } from '../temporary-folder.js'
import { runScript } from './run-script.js'

test('the demo sets up a gateway of its own, streams a job, works in a shell, and leaves nothing behind', async t => {
  const folder = temporaryFolder(t)
  const { code, stdout, stderr } = await runScript('demo', { TMPDIR: folder })
  assert.equal(stderr, '')
  assert.equal(code, 0)
  assert.match(stdout, /hackd listening on http:\/\/127\.0\.0\.1:\d+/)
  assert.match(stdout, /\[job\.created .*\]\n.*\nline 1 of 5.*line 5 of 5.*\n\[job\.completed \{"exitCode":0\}\]/s)
  assert.match(stdout, /completed {2}exit code 0/)
  assert.match(stdout, /\na shell on \/dev\/pts\/\d+\r\nexited {2}exit code 0\n/)
  assert.doesNotMatch(stdout, /hack_[0-9a-f]{12}_/)
  assert.deepEqual(readdirSync(folder), [])
})

test('a job that fails fails the demo, and is cleaned up as well', async t => {
  const folder = temporaryFolder(t)
  const { code, stdout } = await runScript('demo', { TMPDIR: folder, HACK_COMMAND: 'echo broken; exit 3' })
  assert.equal(code, 1)
  assert.match(stdout, /\nbroken\n.*exit code 3/s)
  assert.deepEqual(readdirSync(folder), [])
})

test('against another gateway nothing is started unless writes are wanted', async t => {
  const hackd = await startHackd(t)
  const env = { HACK_GATEWAY_URL: hackd.url, HACK_GATEWAY_TOKEN: hackd.token, HACK_COMMAND: 'echo hello' }
  const looked = await runScript('demo', env)
  assert.equal(looked.code, 0)
  assert.doesNotMatch(looked.stdout, /job\.created/)
  assert.equal((await hackd.call('GET', hackd.jobs())).body.jobs.length, 0)
  const ran = await runScript('demo', { ...env, HACK_ALLOW_WRITES: '1', HACK_PROJECT_ID: hackd.projectId })
  assert.equal(ran.code, 0)
  assert.match(ran.stdout, /\nhello\n/)
  assert.equal((await hackd.call('GET', hackd.jobs())).body.jobs[0].status, 'completed')
})

test('refusals of the other gateway are told as they are', async t => {
  const hackd = await startHackd(t)
  const { token } = await createToken(hackd.home, { scope: 'read' })
  const env = { HACK_GATEWAY_URL: hackd.url, HACK_ALLOW_WRITES: '1' }
  for (const [more, expected] of [
    [{}, /needs HACK_GATEWAY_TOKEN/],
    [{ HACK_GATEWAY_TOKEN: 'hack_wrong' }, /invalid_token/],
    [{ HACK_GATEWAY_TOKEN: token }, /write_scope_required/],
    [{ HACK_GATEWAY_TOKEN: hackd.token, HACK_PROJECT_ID: 'ffffffffffff' }, /project_disabled/],
  ] as const) {
    const { code, stderr } = await runScript('demo', { ...env, ...more })
    assert.equal(code, 1)
    assert.match(stderr, expected)
  }
})
