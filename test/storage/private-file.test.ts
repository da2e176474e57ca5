import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openPrivate, writeNew } from '../../src/storage/private-file.js'
import { temporaryFolder } from '../temporary-folder.js'

const moduleUrl = new URL('../../src/storage/private-file.js', import.meta.url).href
const modeOf = (path: string) => statSync(path).mode & 0o777

test('files and folders are private whatever the umask', t => {
  const folder = temporaryFolder(t)
  for (const umask of [0o000, 0o022, 0o777]) {
    const inner = join(folder, `umask-${umask}`)
    const script = `process.umask(${umask})
      const { makePrivateFolder, writePrivate } = await import(${JSON.stringify(moduleUrl)})
      makePrivateFolder(${JSON.stringify(join(inner, 'deep'))})
      await writePrivate(${JSON.stringify(join(inner, 'file'))}, 'content')
      if (process.umask() !== ${umask}) throw new Error('the umask has changed')`
    execFileSync(process.execPath, ['--input-type=module', '--eval', script])
    assert.deepEqual([inner, join(inner, 'deep'), join(inner, 'file')].map(modeOf), [0o700, 0o700, 0o600])
  }
})

test('a file that was loose is private once it is opened', async t => {
  const path = join(temporaryFolder(t), 'file')
  writeFileSync(path, 'old\n', { mode: 0o666 })
  const file = await openPrivate(path, 'a')
  await file.appendFile('new\n')
  await file.close()
  assert.equal(modeOf(path), 0o600)
  assert.equal(readFileSync(path, 'utf8'), 'old\nnew\n')
})

test('a new file is never written through a planted link', async t => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'victim'), 'untouched')
  symlinkSync('victim', join(folder, 'planted'))
  await assert.rejects(writeNew(join(folder, 'planted'), 'x', 0o600), { code: 'EEXIST' })
  assert.equal(readFileSync(join(folder, 'victim'), 'utf8'), 'untouched')
})
