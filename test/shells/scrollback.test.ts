import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Scrollback } from '../../src/shells/scrollback.js'

test('any range of what is kept reads as it was appended, whatever the sizes', () => {
  const capacity = 37
  const ring = new Scrollback(capacity)
  let all = Buffer.alloc(0)
  for (let round = 0; round < 200; round++) {
    const piece = Buffer.from(Array.from({ length: (round * 7) % 90 }, (_, at) => (round + at) % 251))
    ring.append(piece)
    all = Buffer.concat([all, piece])
    assert.equal(ring.end, all.length)
    assert.equal(ring.oldest, Math.max(0, all.length - capacity))
    for (let from = ring.oldest; from <= ring.end; from += 5)
      for (let to = from; to <= ring.end; to += 3) assert.deepEqual(ring.read(from, to), all.subarray(from, to))
  }
})

test('what is gone or not there yet is left out', () => {
  const ring = new Scrollback(4)
  ring.append(Buffer.from('abcdef'))
  assert.equal(ring.read(0, 100).toString(), 'cdef')
  assert.equal(ring.read(6, 100).length, 0)
  assert.equal(ring.read(0, 2).length, 0)
})
