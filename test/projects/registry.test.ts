import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { homeAt, prepareHome } from '../../src/home.js'
import { registerProject, setEnabled } from '../../src/projects/project-file.js'
import { ProjectRegistry } from '../../src/projects/registry.js'
import { eventually } from '../eventually.js'
import { temporaryFolder } from '../temporary-folder.js'
import { enabledConfig, makeRepository } from './repository.js'

function setUp(t: TestContext) {
  const base = temporaryFolder(t)
  const home = homeAt(join(base, 'home'))
  prepareHome(home)
  const reports: string[] = []
  const registry = new ProjectRegistry(home, problem => reports.push(problem))
  t.after(() => registry.close())
  const repository = (name: string, files = {}) => makeRepository(join(base, name), files)
  return { home, registry, reports, repository }
}

test('a registered project has the id its name and folder give it, and keeps it', async t => {
  const { registry, repository, home } = setUp(t)
  const root = repository('shop', { config: { name: 'Shop', dev_host: 'shop.test' } })
  const project = await registry.register(root)
  const id = createHash('sha1').update(`Shop\n${root}/.hack`).digest('hex').slice(0, 12)
  assert.equal(project?.id, id)
  assert.equal(project?.devHost, 'shop.test')
  repository('shop', { config: { name: 'Renamed' } })
  const again = await registry.register(root)
  assert.equal(again?.id, id)
  assert.equal(again?.name, 'Shop')
  assert.equal(again?.createdAt, project?.createdAt)
  assert.equal(again?.devHost, undefined)
  assert.equal(registry.list().length, 1)
  assert.equal(statSync(home.projects).mode & 0o777, 0o600)
})

test('a project is served only when its owner and its own config both say so', async t => {
  const { registry, repository } = setUp(t)
  const willing = await registry.register(repository('willing', { config: enabledConfig }))
  const unwilling = await registry.register(repository('unwilling', { config: { name: 'unwilling' } }))
  assert.ok(willing && unwilling)
  assert.equal(registry.isServed(willing.id), false)
  await registry.enable(willing.id)
  await registry.enable(unwilling.id)
  assert.equal(registry.isServed(willing.id), true)
  assert.equal(registry.isServed(unwilling.id), false)
  assert.equal(registry.isServed('ffffffffffff'), false)
  assert.equal(await registry.enable('ffffffffffff'), undefined)
  const { enabledAt } = registry.get(willing.id) ?? {}
  assert.equal((await registry.enable(willing.id))?.enabledAt, enabledAt)
  assert.equal((await registry.disable(willing.id))?.enabledAt, undefined)
  assert.equal(registry.isServed(willing.id), false)
})

test('what another process writes is followed, and listeners hear of it', async t => {
  const { registry, repository, home } = setUp(t)
  let heard = 0
  const stop = registry.onChange(() => heard++)
  const root = repository('shop', { config: enabledConfig, compose: 'services: {web: {}, db: {}}' })
  const { id } = await registerProject(home, root)
  await eventually('the project appears', () => registry.get(id) !== undefined)
  await setEnabled(home, id, true)
  await eventually('it is served', () => registry.isServed(id))
  assert.deepEqual(registry.get(id)?.definedServices, ['web', 'db'])
  assert.ok(heard >= 2)
  stop()
  const before = heard
  await setEnabled(home, id, false)
  await eventually('it is not served', () => !registry.isServed(id))
  assert.equal(heard, before)
})

test("a change in the project's folder takes effect within a second", async t => {
  const { registry, repository } = setUp(t)
  const root = repository('shop', { config: enabledConfig, compose: 'services: {web: {}}' })
  const { id } = (await registry.register(root)) ?? assert.fail()
  await registry.enable(id)
  const takesEffect = async (what: string, act: () => unknown, holds: () => boolean) => {
    const since = performance.now()
    act()
    await eventually(what, holds)
    assert.ok(performance.now() - since < 1000, `${what} took ${performance.now() - since} ms`)
  }
  await takesEffect(
    'new services',
    () => repository('shop', { compose: 'services: {web: {}, db: {}}' }),
    () => registry.get(id)?.definedServices?.length === 2,
  )
  await takesEffect(
    'closing it',
    () => repository('shop', { config: { controlPlane: { gateway: { enabled: false } } } }),
    () => !registry.isServed(id),
  )
  await takesEffect(
    'opening it',
    () => repository('shop', { config: enabledConfig }),
    () => registry.isServed(id),
  )
  await takesEffect(
    'the folder goes',
    () => renameSync(join(root, '.hack'), join(root, 'moved')),
    () => registry.get(id)?.present === false && !registry.isServed(id),
  )
  renameSync(join(root, 'moved'), join(root, '.hack'))
  await eventually('the folder is back', () => registry.isServed(id))
})

test('a project config that is being written keeps the last good one, and warnings come once', async t => {
  const { registry, repository, reports } = setUp(t)
  const root = repository('shop', { config: { controlPlane: { gateway: { enabled: true, port: 1 } } } })
  const { id } = (await registry.register(root)) ?? assert.fail()
  await registry.enable(id)
  await registry.register(root)
  assert.equal(reports.length, 1)
  repository('shop', { config: '{"controlPlane":' })
  await eventually('the report', () => reports.length === 2)
  assert.equal(registry.isServed(id), true)
  rmSync(join(root, '.hack', 'hack.config.json'))
  await eventually('no config at all closes it', () => !registry.isServed(id))
})

test('a damaged projects.json keeps the last good list and is reported once', async t => {
  const { registry, repository, home, reports } = setUp(t)
  const { id } = (await registry.register(repository('shop', { config: enabledConfig }))) ?? assert.fail()
  await registry.enable(id)
  const good = readFileSync(home.projects)
  writeFileSync(home.projects, good.subarray(0, good.length / 2))
  await eventually('the report', () => reports.length > 0)
  assert.equal(registry.isServed(id), true)
  await assert.rejects(setEnabled(home, id, false))
  writeFileSync(home.projects, good.subarray(0, good.length / 2))
  writeFileSync(home.projects, good)
  await registry.disable(id)
  assert.equal(registry.isServed(id), false)
  assert.equal(reports.length, 1)
})

test('a list cut at any byte is never half a list', async t => {
  const { home, registry, repository } = setUp(t)
  for (const name of ['a', 'b']) await registry.register(repository(name))
  const good = readFileSync(home.projects)
  for (let cut = 0; cut < good.length - 1; cut += 7) {
    writeFileSync(home.projects, good.subarray(0, cut))
    const reports: string[] = []
    const cold = new ProjectRegistry(home, problem => reports.push(problem))
    cold.close()
    assert.equal(cold.list().length, 0)
    assert.equal(reports.length, 1, `cut at ${cut}`)
  }
})

test('keys that a later version added to the list survive', async t => {
  const { home, registry, repository } = setUp(t)
  const { id } = (await registry.register(repository('shop'))) ?? assert.fail()
  const file = JSON.parse(readFileSync(home.projects, 'utf8'))
  writeFileSync(home.projects, JSON.stringify({ ...file, future: 1, projects: [{ ...file.projects[0], future: 2 }] }))
  await registry.enable(id)
  const after = JSON.parse(readFileSync(home.projects, 'utf8'))
  assert.equal(after.future, 1)
  assert.equal(after.projects[0].future, 2)
})
