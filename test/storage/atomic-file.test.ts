import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { DamagedFile, readJson, replaceFile, replaceJson, updateJson } from '../../src/storage/atomic-file.js'
import { temporaryFolder } from '../temporary-folder.js'

const Counter = Type.Object({ count: Type.Integer() })

test('a replaced file is private, whole, and leaves nothing beside it', async t => {
  const folder = temporaryFolder(t)
  const path = join(folder, 'file')
  writeFileSync(path, 'old', { mode: 0o644 })
  await replaceFile(path, 'new')
  assert.equal(readFileSync(path, 'utf8'), 'new')
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.deepEqual(readdirSync(folder), ['file'])
})

test('the mode that was asked for holds whatever the umask', async t => {
  const path = join(temporaryFolder(t), 'file')
  const umask = process.umask(0o077)
  t.after(() => process.umask(umask))
  await replaceFile(path, 'shared', 0o644)
  assert.equal(statSync(path).mode & 0o777, 0o644)
})

test('replacing a symlink replaces the link, not what it leads to', async t => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'target'), 'untouched')
  symlinkSync('target', join(folder, 'link'))
  await replaceFile(join(folder, 'link'), 'new')
  assert.equal(readFileSync(join(folder, 'target'), 'utf8'), 'untouched')
  assert.equal(readFileSync(join(folder, 'link'), 'utf8'), 'new')
})

test('a replacement that fails leaves the old file and no temporary one', async t => {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'occupied', 'inner'), { recursive: true })
  await assert.rejects(replaceFile(join(folder, 'occupied'), 'new'))
  assert.deepEqual(readdirSync(folder), ['occupied'])
})

test('a missing file reads as undefined; a damaged one is refused by name and left alone', async t => {
  const path = join(temporaryFolder(t), 'file.json')
  assert.equal(await readJson(path, Counter), undefined)
  for (const text of ['', '{"count":', '[]', 'null', '{"count":"1"}', '{}']) {
    writeFileSync(path, text)
    await assert.rejects(readJson(path, Counter), (error: Error) => {
      assert.ok(error instanceof DamagedFile, text)
      return error.message.startsWith(path)
    })
    await assert.rejects(
      updateJson(path, Counter, { count: 0 }, now => now),
      DamagedFile,
    )
    assert.equal(readFileSync(path, 'utf8'), text)
  }
})

test('concurrent updates are all kept', async t => {
  const folder = temporaryFolder(t)
  const path = join(folder, 'file.json')
  const add = () => updateJson(path, Counter, { count: 0 }, ({ count }) => ({ count: count + 1 }))
  await Promise.all(Array.from({ length: 20 }, add))
  assert.deepEqual(await readJson(path, Counter), { count: 20 })
  assert.deepEqual(readdirSync(folder), ['file.json'])
})

test('a change that throws writes nothing and frees the lock', async t => {
  const path = join(temporaryFolder(t), 'file.json')
  await replaceJson(path, { count: 1 })
  const refuse = () => {
    throw new Error('no')
  }
  await assert.rejects(updateJson(path, Counter, { count: 0 }, refuse), /^Error: no$/)
  await updateJson(path, Counter, { count: 0 }, ({ count }) => ({ count: count + 1 }))
  assert.deepEqual(await readJson(path, Counter), { count: 2 })
})
