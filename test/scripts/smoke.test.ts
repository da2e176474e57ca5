import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { replaceJson } from '../../src/storage/atomic-file.js'
import { startHackd } from '../hackd.js'
import { temporaryFolder } from '../temporary-folder.js'
import { runScript } from './run-script.js'

test('the smoke test passes against a hackd that runs, and its tokens are revoked', async t => {
  const hackd = await startHackd(t)
  const env = { HACK_HOME: hackd.home.root, HACK_GATEWAY_E2E_CWD: hackd.repo }
  const { code, stdout, stderr } = await runScript('smoke', env)
  assert.equal(stderr, '')
  assert.equal(code, 0, stdout)
  assert.match(stdout, /ok +a job runs/)
  assert.match(stdout, /(\d+) of \1 checks passed\n$/)
  const { tokens } = JSON.parse(readFileSync(hackd.home.tokens, 'utf8'))
  const own = tokens.filter((token: { label?: string }) => token.label === 'smoke test')
  assert.equal(own.length, 2)
  assert.ok(own.every((token: { revokedAt?: string }) => token.revokedAt !== undefined))
})

test('without writes it starts nothing; where they are off it says so', async t => {
  const hackd = await startHackd(t)
  await replaceJson(hackd.home.config, { controlPlane: {} })
  const env = { HACK_HOME: hackd.home.root }
  const { code, stdout } = await runScript('smoke', { ...env, HACK_GATEWAY_E2E_WRITE: '0' }, hackd.repo)
  assert.equal(code, 0, stdout)
  assert.equal((await hackd.call('GET', hackd.jobs())).body.jobs.length, 0)
  const refused = await runScript('smoke', env, hackd.repo)
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /allowWrites true, or HACK_GATEWAY_E2E_WRITE=0/)
})

test('without a hackd, or elsewhere, it says what to do', async t => {
  const nobody = await runScript('smoke', { HACK_HOME: temporaryFolder(t) })
  assert.equal(nobody.code, 1)
  assert.match(nobody.stderr, /hack daemon start/)
  const hackd = await startHackd(t)
  const elsewhere = await runScript('smoke', { HACK_HOME: hackd.home.root }, temporaryFolder(t))
  assert.equal(elsewhere.code, 1)
  assert.match(elsewhere.stderr, /hack gateway enable/)
})
