import assert from 'node:assert/strict'
import { test } from 'node:test'
import { numbered } from '../../src/runtime/container-log.js'
import { unframe } from '../../src/runtime/log-frames.js'
import { collect } from '../collect.js'

function frame(stream: number, text: string): Buffer {
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0])
  header.writeUInt32BE(Buffer.byteLength(text), 4)
  return Buffer.concat([header, Buffer.from(text)])
}

async function* cut(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function read(source: AsyncIterable<Buffer>): Promise<string> {
  return Buffer.concat(await collect(source)).toString()
}

const wire = Buffer.concat([frame(1, 'out\n'), frame(2, 'err: ä€😀\n'), frame(1, ''), frame(1, 'end')])

for (let size = 1; size <= wire.length; size++)
  test(`frames that arrive ${size} bytes at a time give the same text`, async () => {
    assert.equal(await read(unframe(cut(wire, size))), 'out\nerr: ä€😀\nend')
  })

test('a frame that is cut short gives what there is of it', async () => {
  assert.equal(await read(unframe(cut(wire.subarray(0, -2), 7))), 'out\nerr: ä€😀\ne')
})

test('a stream without frames is refused', async () => {
  await assert.rejects(read(unframe(cut(Buffer.from('plain text'), 4))), /without frames/)
})

test('numbered chunks hold whole characters, and count real bytes', async () => {
  const text = Buffer.from('a€😀\xff')
  const bytes = Buffer.concat([text, Buffer.from([0xff, 0xe2, 0x82])])
  const chunks = await collect(numbered(cut(bytes, 1)))
  assert.deepEqual(
    chunks.map(chunk => chunk.bytes.toString()),
    ['a', '€', '😀', 'ÿ', '\ufffd', '\ufffd'],
  )
  assert.deepEqual(
    chunks.map(({ offset }) => offset),
    [1, 4, 8, 10, 11, 13],
  )
})
