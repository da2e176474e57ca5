import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { sandbox } from './run-hack.js'

const configOf = (folder: string) => JSON.parse(readFileSync(join(folder, '.hack', 'hack.config.json'), 'utf8'))

test('init makes the repository a project, wherever in it one is, and does not open it', async t => {
  const { hackIn, hack, repository } = sandbox(t)
  mkdirSync(join(repository, 'deep', 'inside'), { recursive: true })
  const { code, stdout, stderr } = await hackIn({ cwd: join(repository, 'deep', 'inside') }, 'init')
  assert.equal(code, 0)
  assert.match(stdout, /^shop {2}[0-9a-f]{12}\n/)
  assert.match(stderr, /Next: hack gateway enable/)
  assert.deepEqual(configOf(repository), { name: 'shop', controlPlane: { gateway: { enabled: false } } })
  const again = await hack('init', '--json')
  const project = JSON.parse(again.stdout)
  assert.equal(project.configCreated, false)
  assert.equal(project.repoRoot, repository)
  assert.equal(project.enabledAt, undefined)
  assert.ok(stdout.includes(project.id))
})

test('a config that is there is kept as it is', async t => {
  const { hack, repository } = sandbox(t)
  mkdirSync(join(repository, '.hack'))
  const text = '{ "name": "mine", "dev_host": "mine.test", "other": [1, 2] }'
  writeFileSync(join(repository, '.hack', 'hack.config.json'), text)
  const project = JSON.parse((await hack('init', '--json')).stdout)
  assert.equal(project.name, 'mine')
  assert.equal(project.devHost, 'mine.test')
  assert.equal(readFileSync(join(repository, '.hack', 'hack.config.json'), 'utf8'), text)
  const other = await hack('init', '--name', 'other')
  assert.equal(other.code, 2)
  assert.match(other.stderr, /already names it "mine"/)
})

test('a name may be chosen, but not one that upsets a terminal', async t => {
  const { hack, repository } = sandbox(t)
  const bad = await hack('init', '--name', 'a\x1b[31mb')
  assert.equal(bad.code, 2)
  assert.equal(existsSync(join(repository, '.hack')), false)
  assert.equal(JSON.parse((await hack('init', '--name', 'chosen', '--json')).stdout).name, 'chosen')
})

test('without a repository the folder itself is the project', async t => {
  const { hackIn, base } = sandbox(t)
  const folder = join(base, 'plain\x1b[31m')
  mkdirSync(folder)
  const { code, stdout, stderr } = await hackIn({ cwd: folder }, 'init')
  assert.equal(code, 0)
  assert.match(stderr, /no git repository here/)
  assert.ok(!`${stdout}${stderr}`.includes('\x1b'))
  assert.equal(configOf(folder).name, 'plain[31m')
})

test("the folder around hackd's own home is refused", async t => {
  const { hackIn, base } = sandbox(t)
  const env = { HACK_HOME: join(base, '.hack') }
  assert.equal((await hackIn({ env }, 'init')).code, 0)
  const { code, stderr } = await hackIn({ cwd: base, env }, 'init')
  assert.equal(code, 2)
  assert.match(stderr, /home of hackd/)
})

test('many at once are all registered', async t => {
  const { hackIn, hack, base } = sandbox(t)
  const folders = Array.from({ length: 8 }, (_, index) => join(base, `project-${index}`))
  for (const folder of folders) mkdirSync(folder)
  const results = await Promise.all(folders.map(cwd => hackIn({ cwd }, 'init')))
  assert.deepEqual(
    results.map(({ code }) => code),
    Array(8).fill(0),
  )
  assert.equal(JSON.parse((await hack('projects', '--json')).stdout).projects.length, 8)
})
