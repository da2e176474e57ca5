import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isJobId, JobIds } from '../../src/jobs/job-id.js'

test('ids sort in the order they were made, many of them within a millisecond', () => {
  const ids = new JobIds()
  const made = Array.from({ length: 5000 }, () => ids.next())
  assert.deepEqual(made, [...made].sort())
  assert.equal(new Set(made).size, made.length)
  assert.ok(made.every(isJobId))
})

test('ids sort after those of an earlier hackd, whatever the clock says', t => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 })
  const before = new JobIds()
  const old = Array.from({ length: 10 }, () => before.next())
  for (const now of [1_800_000_000_000, 1_700_000_000_000]) {
    t.mock.timers.setTime(now)
    for (const order of [old, [...old].reverse()]) {
      const ids = new JobIds()
      for (const id of order) ids.seen(id)
      const made = [...old, ids.next(), ids.next()]
      assert.deepEqual(made, [...made].sort())
    }
  }
})

test('ids go on in order when the clock goes back, and when a counter is used up', t => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 })
  const ids = new JobIds()
  const made = [ids.next()]
  t.mock.timers.setTime(1_000_000_000_000)
  made.push(ids.next(), ids.next())
  ids.seen(`${(1_800_000_000_000).toString(36).padStart(9, '0')}-zzzz-000000000000`)
  made.push(ids.next(), ids.next())
  assert.deepEqual(made, [...made].sort())
})

test('ids of another form are passed over', () => {
  const ids = new JobIds()
  for (const id of ['', '..', 'zzzzzzzzz', 'ZZZZZZZZZ-0000-0', '2024-01-01', '-'.repeat(64)]) ids.seen(id)
  assert.ok(ids.next() < 'zzzzzzzzz')
})

test('an id is the name of a folder and nothing else', () => {
  for (const id of ['a', 'A-1', '-', 'x'.repeat(64)]) assert.ok(isJobId(id), id)
  for (const id of ['', '.', '..', '../x', 'a/b', 'a\0b', 'a b', 'ä', 'a\n', 'x'.repeat(65)])
    assert.ok(!isJobId(id), id)
})
