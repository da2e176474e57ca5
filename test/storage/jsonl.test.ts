import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { openLines, parseLines, readLines } from '../../src/storage/jsonl.js'
import { temporaryFolder } from '../temporary-folder.js'

const Row = Type.Object({ n: Type.Integer(), text: Type.String() })
const rows = [1, 2, 3].map(n => ({ n, text: `line ${n} – ü` }))
const bytes = Buffer.from(rows.map(row => `${JSON.stringify(row)}\n`).join(''))

test('a file cut at any byte gives back every whole line before the cut', () => {
  for (let cut = 0; cut <= bytes.length; cut++) {
    const kept = bytes.subarray(0, cut)
    const { records, damaged } = parseLines(kept.toString(), Row)
    const newlines = kept.filter(byte => byte === 0x0a).length
    // A cut just before a newline loses nothing.
    const whole = newlines + (bytes[cut] === 0x0a ? 1 : 0)
    assert.deepEqual(records, rows.slice(0, whole), `cut at ${cut}`)
    assert.equal(damaged, cut === 0 || bytes[cut - 1] === 0x0a || bytes[cut] === 0x0a ? 0 : 1, `cut at ${cut}`)
  }
})

test('damage in the middle costs the damaged lines only', () => {
  const text = `${JSON.stringify(rows[0])}\ngarbage\n{"n":"x","text":""}\n\n${JSON.stringify(rows[2])}\n`
  assert.deepEqual(parseLines(text, Row), { records: [rows[0], rows[2]], damaged: 2 })
})

test('a missing file has no lines', async t => {
  assert.deepEqual(await readLines(join(temporaryFolder(t), 'none'), Row), { records: [], damaged: 0 })
})

test('a torn tail is ended before the next record, wherever it was torn', async t => {
  const path = join(temporaryFolder(t), 'file.jsonl')
  for (let cut = 0; cut <= bytes.length; cut++) {
    writeFileSync(path, bytes.subarray(0, cut))
    const file = await openLines(path)
    await file.appendFile(`${JSON.stringify({ n: 9, text: 'after' })}\n`)
    await file.close()
    const { records } = await readLines(path, Row)
    assert.deepEqual(records.at(-1), { n: 9, text: 'after' }, `cut at ${cut}`)
    assert.deepEqual(readFileSync(path).subarray(0, cut), bytes.subarray(0, cut))
  }
  assert.equal(statSync(path).mode & 0o777, 0o600)
})
