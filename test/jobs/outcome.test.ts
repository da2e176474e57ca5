import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Ending } from '../../src/jobs/job-folder.js'
import { outcomeOf, signalOf } from '../../src/jobs/outcome.js'
import type { RunEnd } from '../../src/jobs/runners/runner.js'

const at = '2026-01-01T00:00:00.000Z'
const cancel: Ending = { why: 'cancel', at }
const timeout: Ending = { why: 'timeout', at }

for (const [name, end, ending, lastSignal, expected] of [
  ['exit 0', { exitCode: 0 }, undefined, undefined, { status: 'completed', exitCode: 0 }],
  ['exit 3', { exitCode: 3 }, undefined, undefined, { status: 'failed', exitCode: 3, reason: 'exit_code' }],
  [
    'status 255, which is no signal',
    { exitCode: 255 },
    undefined,
    undefined,
    { status: 'failed', exitCode: 255, reason: 'exit_code' },
  ],
  [
    'status 137',
    { exitCode: 137 },
    undefined,
    undefined,
    { status: 'failed', exitCode: 137, signal: 'SIGKILL', reason: 'signal' },
  ],
  [
    'a program that is not there',
    { failure: 'spawn_error' },
    undefined,
    undefined,
    { status: 'failed', reason: 'spawn_error' },
  ],
  [
    'a full log, though it exited 0',
    { exitCode: 0, failure: 'log_limit' },
    undefined,
    undefined,
    { status: 'failed', exitCode: 0, reason: 'log_limit' },
  ],
  ['a cancel', { exitCode: 143 }, cancel, 'SIGTERM', { status: 'cancelled', exitCode: 143, signal: 'SIGTERM' }],
  [
    'a cancel that needed force',
    { exitCode: 137 },
    cancel,
    'SIGKILL',
    { status: 'cancelled', exitCode: 137, signal: 'SIGKILL' },
  ],
  [
    'a cancel that was answered with exit 0',
    { exitCode: 0 },
    cancel,
    'SIGTERM',
    { status: 'cancelled', exitCode: 0, signal: 'SIGTERM' },
  ],
  ['a cancel of a job that was lost', { failure: 'lost' }, cancel, undefined, { status: 'cancelled' }],
  [
    'a timeout',
    { exitCode: 143 },
    timeout,
    'SIGTERM',
    { status: 'failed', exitCode: 143, signal: 'SIGTERM', reason: 'timeout' },
  ],
  [
    'a timeout answered with exit 0',
    { exitCode: 0 },
    timeout,
    'SIGTERM',
    { status: 'failed', exitCode: 0, reason: 'timeout' },
  ],
] as [string, RunEnd, Ending | undefined, string | undefined, object][])
  test(`the outcome of ${name}`, () => {
    const { status, change, type } = outcomeOf(end, ending, lastSignal)
    assert.deepEqual({ status, ...change }, expected)
    assert.equal(type, `job.${status}`)
  })

test('what is said of a failure goes on record with it', () => {
  const { payload } = outcomeOf({ failure: 'spawn_error', error: 'no such program' }, undefined, undefined)
  assert.deepEqual(payload, { reason: 'spawn_error', error: 'no such program' })
})

test('a status over 128 names its signal, where there is one', () => {
  assert.equal(signalOf(130), 'SIGINT')
  for (const status of [undefined, 0, 1, 128, 200, 255]) assert.equal(signalOf(status), undefined)
})
