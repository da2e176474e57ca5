import assert from 'node:assert/strict'
import { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { replaceFile } from '../../src/storage/atomic-file.js'
import { WatchedFile } from '../../src/storage/watched-file.js'
import { eventually } from '../eventually.js'
import { temporaryFolder } from '../temporary-folder.js'

/** Follows files of a folder and counts what it hears. */
function follow(t: TestContext, paths: [string, ...string[]]) {
  const heard = { changes: 0 }
  const watched = new WatchedFile(paths, () => heard.changes++)
  t.after(() => watched.close())
  const hears = async (what: string, act: () => unknown) => {
    const before = heard.changes
    await act()
    await eventually(`hears of: ${what}`, () => heard.changes > before)
  }
  return { heard, watched, hears }
}

test('a file is followed through creation, rewriting, replacement and removal', async t => {
  const path = join(temporaryFolder(t), 'file')
  const { hears } = follow(t, [path])
  await hears('creation', () => writeFileSync(path, '1'))
  await hears('rewriting in place', () => writeFileSync(path, '2'))
  await hears('replacement', () => replaceFile(path, '3'))
  await hears('removal', () => unlinkSync(path))
})

test('each of several files counts, others of the folder do not', async t => {
  const folder = temporaryFolder(t)
  const { hears, heard } = follow(t, [join(folder, 'one'), join(folder, 'two')])
  writeFileSync(join(folder, 'other'), 'x')
  await hears('the second', () => writeFileSync(join(folder, 'two'), '1'))
  await hears('the first', () => writeFileSync(join(folder, 'one'), '1'))
  const { changes } = heard
  writeFileSync(join(folder, 'other'), 'y')
  await delay(200)
  assert.equal(heard.changes, changes)
})

test('a folder that goes away and comes back is followed again', async t => {
  const folder = join(temporaryFolder(t), 'folder')
  const path = join(folder, 'file')
  const { hears } = follow(t, [path])
  await hears('the folder appears with its file', () => {
    mkdirSync(folder)
    writeFileSync(path, '1')
  })
  await hears('the folder is removed', () => rmSync(folder, { recursive: true }))
  await hears('it is back', () => {
    mkdirSync(folder)
    writeFileSync(path, '2')
  })
  await hears('the new file changes', () => writeFileSync(path, '3'))
  await hears('another folder takes its place', () => {
    mkdirSync(`${folder}.new`)
    writeFileSync(join(`${folder}.new`, 'file'), '4')
    renameSync(folder, `${folder}.old`)
    renameSync(`${folder}.new`, folder)
  })
  await hears('a change in that one', () => writeFileSync(path, '5'))
})

test('a file that never rests is heard of all the same', async t => {
  const path = join(temporaryFolder(t), 'file')
  const { heard } = follow(t, [path])
  const busy = setInterval(() => writeFileSync(path, String(Math.random())), 2)
  t.after(() => clearInterval(busy))
  await eventually('a change is heard of while it is being written', () => heard.changes >= 3)
})

test('what cannot be looked at is no error', async t => {
  const folder = temporaryFolder(t)
  const path = join(folder, 'loop')
  const { hears } = follow(t, [path])
  symlinkSync('loop', path)
  unlinkSync(path)
  await hears('a real file in its place', () => writeFileSync(path, '1'))
  const below = follow(t, [join(path, 'file-as-a-folder')])
  await delay(50)
  assert.equal(below.heard.changes, 0)
})

test('a closed one is silent', async t => {
  const path = join(temporaryFolder(t), 'file')
  const { watched, heard } = follow(t, [path])
  writeFileSync(path, '1')
  watched.close()
  await delay(100)
  assert.equal(heard.changes, 0)
})
