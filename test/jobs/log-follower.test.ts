import assert from 'node:assert/strict'
import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { chunkBytes, LogFollower } from '../../src/jobs/log-follower.js'
import { completeUtf8 } from '../../src/storage/utf8.js'
import { temporaryFolder } from '../temporary-folder.js'

/** Sequences of every length, overlong and surrogate forms, bytes that begin or continue nothing. */
const samples = ['aé€🙂z', '🙂🙂🙂', '\u0000\u007f\u0080\u07ff\u0800\uffff\u{10000}\u{10ffff}'].map(text =>
  Buffer.from(text),
)
const broken = [
  '80',
  'bf80',
  'c3',
  'c328',
  'e2',
  'e282',
  'e228a1',
  'f0',
  'f09f',
  'f09f98',
  'f09f9861',
  'f8888080',
  'ff',
  'fe61',
  'c080',
  'eda080',
  'f4908080',
  '61e2',
  '80808080',
].map(hex => Buffer.from(hex, 'hex'))

test('no cut falls into a sequence that can be completed', () => {
  for (const sample of samples) {
    for (let end = 0; end <= sample.length; end++) {
      const whole = completeUtf8(sample.subarray(0, end))
      assert.ok(whole <= end && end - whole <= 3)
      assert.ok(!sample.toString('utf8', 0, whole).includes('\ufffd'), `${sample.toString('hex')} cut at ${end}`)
    }
    assert.equal(completeUtf8(sample), sample.length)
  }
})

test('cut anywhere and decoded piece by piece, text is what it is as a whole', () => {
  for (const sample of [...samples, ...broken, Buffer.concat(broken), Buffer.concat([...samples, ...broken])]) {
    for (let cut = 0; cut <= sample.length; cut++) {
      const first = completeUtf8(sample.subarray(0, cut))
      const text = sample.toString('utf8', 0, first) + sample.toString('utf8', first)
      assert.equal(text, sample.toString(), `${sample.toString('hex')} cut at ${cut}`)
    }
  }
})

test('never more than three bytes are held back, whatever they are', () => {
  for (let a = 0; a < 256; a++)
    for (const b of [0, 0x61, 0x80, 0xbf, 0xc3, 0xe2, 0xf0, 0xff])
      for (const c of [0, 0x61, 0x80, 0xbf, 0xc3, 0xe2, 0xf0, 0xff]) {
        const bytes = Uint8Array.of(a, b, c, 0x80, 0x80, 0x80)
        for (let end = 0; end <= 6; end++) assert.ok(end - completeUtf8(bytes.subarray(0, end)) <= 3)
        assert.equal(completeUtf8(bytes), 6)
      }
})

function logFile(t: TestContext, content: string | Buffer = ''): { path: string; log: LogFollower } {
  const path = join(temporaryFolder(t), 'combined.log')
  writeFileSync(path, content)
  const log = new LogFollower(path, () => undefined)
  log.take()
  t.after(() => log.release())
  return { path, log }
}

test('reads chunks of 64 KiB from any offset, and nothing past the end', async t => {
  const content = Buffer.from(Array.from({ length: chunkBytes * 2 + 100 }, (_, at) => at % 251))
  const { log } = logFile(t, content)
  assert.equal(await log.size(), content.length)
  for (const offset of [0, 1, chunkBytes - 1, chunkBytes, chunkBytes + 1, chunkBytes * 2, content.length - 1])
    assert.deepEqual(await log.read(offset), content.subarray(offset, offset + chunkBytes))
  for (const offset of [content.length, content.length + 1, 2 ** 40]) assert.equal((await log.read(offset)).length, 0)
})

test('followers at the same place get the same Buffer; an end is never remembered', async t => {
  const { path, log } = logFile(t, 'one')
  const both = await Promise.all([log.read(0), log.read(0)])
  assert.equal(both[0], both[1])
  assert.equal((await log.read(3)).length, 0)
  appendFileSync(path, 'two')
  assert.equal((await log.read(3)).toString(), 'two')
})

test('a log that cannot be opened now may be later, for those who wait as well', async t => {
  const path = join(temporaryFolder(t), 'combined.log')
  const log = new LogFollower(path, () => undefined)
  log.take()
  t.after(() => log.release())
  await assert.rejects(log.read(0), { code: 'ENOENT' })
  writeFileSync(path, 'here')
  assert.equal((await log.read(0)).toString(), 'here')
})

test('many followers of a growing log all get all of it', async t => {
  const { path, log } = logFile(t)
  const total = 300_000
  let written = 0
  const writer = setInterval(() => {
    const size = Math.min(1 + ((written * 7) % 9000), total - written)
    appendFileSync(path, Buffer.alloc(size, written % 256))
    written += size
    if (written === total) clearInterval(writer)
  }, 1)
  t.after(() => clearInterval(writer))
  const follow = async () => {
    const chunks: Buffer[] = []
    for (let offset = 0; offset < total; ) {
      const chunk = await log.read(offset)
      chunks.push(chunk)
      offset += chunk.length
      if (chunk.length === 0) await new Promise(resolve => setImmediate(resolve))
      if (Math.random() < 0.1) log.forget()
    }
    return Buffer.concat(chunks)
  }
  const copies = await Promise.all(Array.from({ length: 20 }, follow))
  const [first = Buffer.alloc(0)] = copies
  assert.equal(first.length, total)
  for (const copy of copies) assert.ok(copy.equals(first))
})
