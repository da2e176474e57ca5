import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Output } from '../../src/shells/output.js'
import { unfinishedTail } from '../../src/shells/utf8.js'

const text = 'a é € 😀 ü漢字'

/** All that a viewer would have been given, each chunk decoded on its own. */
function decode(pieces: Buffer[]): string {
  const output = new Output(4096)
  let decoded = ''
  let position = 0
  const take = () => {
    for (let chunk = output.live(position, 1e9); chunk; chunk = output.live(position, 1e9)) {
      decoded += chunk.bytes.toString()
      position = chunk.offset
    }
  }
  for (const piece of pieces) {
    output.append(piece)
    take()
  }
  output.finish()
  take()
  return decoded
}

test('a text that is split at any byte arrives whole', () => {
  const bytes = Buffer.from(text)
  for (let at = 0; at <= bytes.length; at++)
    assert.equal(decode([bytes.subarray(0, at), bytes.subarray(at)]), text, `split at ${at}`)
  assert.equal(decode([...bytes].map(byte => Buffer.of(byte))), text)
})

test('bytes that are no UTF-8 read as they would in one piece, and are not held back', () => {
  for (const bytes of [
    [0xff, 0x41],
    [0xe2, 0x82, 0x41],
    [0xc0, 0xaf],
    [0xf5, 0x80],
    [0xe2, 0x82],
    [0x80, 0x80, 0x80, 0x80, 0x80],
  ]) {
    const whole = Buffer.from(bytes)
    assert.equal(decode([...whole].map(byte => Buffer.of(byte))), whole.toString(), whole.toString('hex'))
  }
  assert.equal(unfinishedTail(Buffer.of(0x41, 0xff)), 0)
  assert.equal(unfinishedTail(Buffer.of(0xf0, 0x9f, 0x98)), 3)
  assert.equal(unfinishedTail(Buffer.of(0xe2, 0x82, 0xac)), 0)
})
