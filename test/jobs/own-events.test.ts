import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { appendFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type OwnEvent, OwnEvents } from '../../src/jobs/own-events.js'
import { temporaryFolder } from '../temporary-folder.js'

function collect(t: TestContext, path: string, skip = 0) {
  const seen: OwnEvent[] = []
  const events = new OwnEvents(path, skip, async event => seen.push(event))
  t.after(() => events.close())
  return { events, types: () => seen.map(event => event.type), seen }
}

function file(t: TestContext, content: string | Buffer = ''): string {
  const path = join(temporaryFolder(t), 'own-events.jsonl')
  writeFileSync(path, content)
  return path
}

const line = (type: string, payload?: object) => `${JSON.stringify({ type, payload })}\n`

test('a line counts when it is whole, wherever its writes were split', async t => {
  const text = line('eins', { text: 'zwölf – 🙂' }) + line('zwei')
  const bytes = Buffer.from(text)
  for (let cut = 0; cut <= bytes.length; cut += 3) {
    const path = file(t)
    const { events, seen } = collect(t, path)
    appendFileSync(path, bytes.subarray(0, cut))
    await events.read()
    appendFileSync(path, bytes.subarray(cut))
    await events.read()
    assert.deepEqual(seen, [{ type: 'eins', payload: { text: 'zwölf – 🙂' } }, { type: 'zwei' }])
  }
})

test('lines that are no events, or speak for hackd, are passed over', async t => {
  const bad = [
    '',
    'no json',
    '[]',
    'null',
    '{}',
    '{"type":1}',
    '{"type":""}',
    '{"type":"job.completed"}',
    '\0\0',
    '{"type":"x","payload":1}',
  ]
  const { events, types } = collect(t, file(t, `${bad.join('\n')}\n${line('good')}`))
  await events.read()
  assert.deepEqual(types(), ['good'])
})

test('a line over 64 KiB is passed over, however the reads fall', async t => {
  for (const lead of [0, 100, 40_000, 60_000]) {
    for (const length of [66_000, 100_000, 130_000, 200_000, 1_000_000]) {
      const text = line('first', { pad: 'x'.repeat(lead) }) + line('long', { pad: 'x'.repeat(length) }) + line('last')
      const { events, types } = collect(t, file(t, text))
      await events.read()
      assert.deepEqual(types(), ['first', 'last'], `${lead} bytes before ${length}`)
    }
  }
})

test('a line nested deeper than any event is passed over: it could never be written again', async t => {
  const deep = `{"type":"deep","payload":{"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}}\n`
  const { events, types } = collect(t, file(t, line('first') + deep + line('last')))
  await events.read()
  assert.deepEqual(types(), ['first', 'last'])
})

test('no more is taken than hackd can keep', async t => {
  const many = file(t, line('tick').repeat(10_100))
  const few = file(t, line('page', { pad: 'x'.repeat(60_000) }).repeat(500))
  const counts: number[] = []
  for (const path of [many, few]) {
    const { events, seen } = collect(t, path)
    await events.read()
    counts.push(seen.length)
    const rest = collect(t, path, seen.length)
    await rest.events.read()
    assert.equal(rest.seen.length, 0)
  }
  assert.equal(counts[0], 10_000)
  assert.ok((counts[1] ?? 0) > 10 && (counts[1] ?? 0) * 60_000 < 10 * 2 ** 20, `${counts[1]} events of 60 kB`)
})

test('after a restart those on record are passed over exactly', async t => {
  const lines = [line('a'), 'nonsense\n', line('b'), line('job.no'), line('c'), `${'y'.repeat(100_000)}\n`, line('d')]
  const path = file(t, lines.join(''))
  for (let skip = 0; skip <= 4; skip++) {
    const { events, types } = collect(t, path, skip)
    await events.read()
    assert.deepEqual(types(), ['a', 'b', 'c', 'd'].slice(skip))
  }
})

test('what the job puts in the place of the file is neither followed nor waited for', { timeout: 20_000 }, async t => {
  const path = file(t)
  const { events, types } = collect(t, path)
  rmSync(path)
  await events.read()
  execFileSync('mkfifo', [path])
  await events.read()
  rmSync(path)
  symlinkSync('/dev/zero', path)
  await events.read()
  assert.deepEqual(types(), [])
})
