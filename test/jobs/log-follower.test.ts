import assert from 'node:assert/strict'
import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { chunkBytes, LogFollower } from '../../src/jobs/log-follower.js'
import { temporaryFolder } from '../temporary-folder.js'

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
