import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { identify, selfIdentity } from '../../src/processes/identity.js'
import { LockHeld, lockOwner, takeLock } from '../../src/storage/lock-file.js'
import { temporaryFolder } from '../temporary-folder.js'

test('a lock is held by one, says by whom, and is free afterwards', async t => {
  const folder = temporaryFolder(t)
  const path = join(folder, 'lock')
  const lock = await takeLock(path, 0)
  assert.deepEqual(await lockOwner(path), selfIdentity())
  await assert.rejects(takeLock(path, 0), (error: Error) => {
    assert.ok(error instanceof LockHeld)
    assert.equal(error.owner.pid, process.pid)
    return true
  })
  await lock.release()
  assert.equal(await lockOwner(path), undefined)
  assert.deepEqual(readdirSync(folder), [])
})

test('who waits gets it when it is released', async t => {
  const path = join(temporaryFolder(t), 'lock')
  const first = await takeLock(path, 0)
  const second = takeLock(path, 10_000)
  await first.release()
  await (await second).release()
  assert.equal(existsSync(path), false)
})

test('what a crash left never blocks: nonsense, a dead process, a recycled pid', async t => {
  const path = join(temporaryFolder(t), 'lock')
  const child = spawn(process.execPath, ['-e', ''], { stdio: 'ignore' })
  const dead = child.pid === undefined ? undefined : identify(child.pid)
  await once(child, 'exit')
  const recycled = { ...selfIdentity(), startTime: 'another' }
  for (const content of [
    '',
    'nonsense',
    '{}',
    '{"pid":"x","startTime":1}',
    JSON.stringify(dead),
    JSON.stringify(recycled),
  ]) {
    writeFileSync(path, content)
    assert.equal(await lockOwner(path), undefined, content)
    await (await takeLock(path, 0)).release()
  }
})

test('of many who find a stale lock together, one at a time holds it', async t => {
  const path = join(temporaryFolder(t), 'lock')
  writeFileSync(path, 'stale')
  let holders = 0
  let most = 0
  const hold = async () => {
    const lock = await takeLock(path, 20_000)
    most = Math.max(most, ++holders)
    await new Promise(resolve => setImmediate(resolve))
    holders--
    await lock.release()
  }
  await Promise.all(Array.from({ length: 20 }, hold))
  assert.equal(most, 1)
})
