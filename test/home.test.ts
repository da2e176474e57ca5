import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { findLoosePermissions, homeAt, locateHome, prepareHome } from '../src/home.js'
import { LockHeld, takeLock } from '../src/storage/lock-file.js'
import { temporaryFolder } from './temporary-folder.js'

test('--home wins over HACK_HOME, which wins over ~/.hack; empty ones count as not given', () => {
  assert.equal(locateHome('/flag', { HACK_HOME: '/variable' }).root, '/flag')
  assert.equal(locateHome(undefined, { HACK_HOME: '/variable' }).root, '/variable')
  assert.equal(locateHome('', { HACK_HOME: '' }).root, join(homedir(), '.hack'))
  assert.equal(locateHome('relative', {}).root, join(process.cwd(), 'relative'))
})

test('a prepared home is private, and preparing it again changes nothing', t => {
  const home = homeAt(join(temporaryFolder(t), 'deep', 'home'))
  prepareHome(home)
  prepareHome(home)
  for (const folder of [home.root, home.daemon, home.gateway, home.jobs])
    assert.equal(statSync(folder).mode & 0o777, 0o700, folder)
  assert.deepEqual(findLoosePermissions(home), [])
})

test('whatever others could read or change is named with a command that mends it', t => {
  const home = homeAt(join(temporaryFolder(t), "it's home"))
  prepareHome(home)
  for (const path of [home.config, home.projects, home.tokens, home.key, home.log]) {
    writeFileSync(path, '')
    chmodSync(path, 0o644)
  }
  mkdirSync(join(home.jobs, 'project'))
  chmodSync(join(home.jobs, 'project'), 0o755)
  for (const folder of [home.root, home.daemon, home.gateway]) chmodSync(folder, 0o777)
  const problems = findLoosePermissions(home)
  assert.equal(problems.length, 9)
  for (const problem of problems) execFileSync('sh', ['-c', problem.slice(problem.indexOf('chmod'))])
  assert.deepEqual(findLoosePermissions(home), [])
})

test('a home that others may read but not change is accepted', t => {
  const home = homeAt(temporaryFolder(t))
  prepareHome(home)
  chmodSync(home.root, 0o755)
  assert.deepEqual(findLoosePermissions(home), [])
})

test('one daemon a home', async t => {
  const home = homeAt(temporaryFolder(t))
  prepareHome(home)
  const lock = await takeLock(home.pidFile, 0)
  await assert.rejects(takeLock(home.pidFile, 0), LockHeld)
  await lock.release()
  await (await takeLock(home.pidFile, 0)).release()
})
