import assert from 'node:assert/strict'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { sandbox } from './run-hack.js'

test('the list shows which projects are open, closed or gone', async t => {
  const { hack, hackIn, repository, base } = sandbox(t)
  assert.match((await hack('projects')).stderr, /hack init/)
  await hack('init')
  assert.match((await hack('projects')).stdout, /^ID .*\n[0-9a-f]{12} {2}shop {2}disabled {2}\/.*\/shop\n$/)
  await hack('gateway', 'enable')
  assert.match((await hack('projects')).stdout, /shop {2}enabled/)
  rmSync(repository, { recursive: true })
  const gone = await hackIn({ cwd: base }, 'projects')
  assert.match(gone.stdout, /shop {2}missing/)
  const { projects } = JSON.parse((await hackIn({ cwd: base }, 'projects', '--json')).stdout)
  assert.deepEqual([projects[0].status, projects[0].enabled], ['missing', false])
})

test('names that a stranger wrote into the list reach the terminal as text', async t => {
  const { hack, home } = sandbox(t)
  await hack('init')
  const path = join(home, 'projects.json')
  const file = JSON.parse(readFileSync(path, 'utf8'))
  file.projects[0].name = 'a\x1b]0;owned\x07\u009b31m\u202eb'
  writeFileSync(path, JSON.stringify(file))
  for (const argv of [['projects'], ['projects', '--json']]) {
    const { stdout } = await hack(...argv)
    assert.doesNotMatch(stdout, /[^\P{Cc}\n]|\u202e/u)
    assert.match(stdout, /\\u001b\]0;owned\\u0007\\u009b31m\\u202eb/)
  }
  assert.equal(JSON.parse((await hack('projects', '--json')).stdout).projects[0].name, file.projects[0].name)
})

test('a damaged list is said to be damaged', async t => {
  const { hack, home } = sandbox(t)
  await hack('init')
  writeFileSync(join(home, 'projects.json'), '{')
  const shown = await hack('projects')
  assert.match(shown.stderr, /projects\.json: not JSON/)
  const init = await hack('init')
  assert.equal(init.code, 1)
  assert.match(init.stderr, /projects\.json: not JSON/)
})
