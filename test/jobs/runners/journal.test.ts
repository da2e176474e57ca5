import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseJournal } from '../../../src/jobs/runners/journal.js'

const stat = readFileSync('/proc/self/stat', 'latin1').trim()
const lines = [
  'journal 1',
  `wrapper ${stat}`,
  `holder ${stat}`,
  `job ${stat}`,
  `writer ${stat}`,
  'exited 137',
  'written 0',
]
const text = `${lines.join('\n')}\n`

test('reads what the wrapper put on record', () => {
  const { wrapper, exited, written } = parseJournal(text)
  assert.equal(wrapper?.pid, process.pid)
  assert.deepEqual([exited, written], [137, 0])
})

test('cut at any byte, it holds the whole lines before the cut and nothing else', () => {
  const whole = parseJournal(text) as Record<string, unknown>
  for (let cut = 0; cut <= text.length; cut++) {
    const complete = text.slice(0, cut).split('\n').length - 1
    const expected = lines.slice(1, Math.max(1, complete)).map(line => line.split(' ')[0] ?? '')
    const journal = parseJournal(text.slice(0, cut)) as Record<string, unknown>
    assert.deepEqual(Object.keys(journal).sort(), [...expected].sort(), `cut at ${cut}`)
    for (const key of expected) assert.deepEqual(journal[key], whole[key])
  }
})

test('foreign lines, NULs and numbers that are none are no lines', () => {
  const foreign = [
    'exited',
    'exited x',
    'exited -1',
    'exited 1e2',
    'exited 1234',
    'written ',
    '\0\0\0',
    'job',
    'job 12',
    'toString 1',
  ]
  assert.deepEqual(parseJournal(`${foreign.join('\n')}\n`), {})
})
