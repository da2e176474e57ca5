import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import { ProjectList, type ProjectsQuery } from '../../schemas/projects.js'
import type { RuntimeProject } from '../../schemas/runtime.js'
import { homeAt, prepareHome } from '../../src/home.js'
import { type ProjectRuntime, ProjectViews, type Viewer } from '../../src/projects/project-view.js'
import { ProjectRegistry } from '../../src/projects/registry.js'
import { temporaryFolder } from '../temporary-folder.js'
import { enabledConfig, makeRepository } from './repository.js'

const all: ProjectsQuery = { include_global: false, include_unregistered: false }
const local: Viewer = { kind: 'local' }

async function setUp(t: TestContext, runtime?: ProjectRuntime, unowned: RuntimeProject[] = []) {
  const base = temporaryFolder(t)
  const home = homeAt(join(base, 'home'))
  prepareHome(home)
  const registry = new ProjectRegistry(home, () => undefined)
  t.after(() => registry.close())
  const add = async (path: string, files: { config?: unknown; compose?: string } = { config: enabledConfig }) => {
    const { id } = (await registry.register(makeRepository(join(base, path), files))) ?? assert.fail()
    await registry.enable(id)
    return id
  }
  const source = runtime && { runtime: { runtimeOf: () => runtime, unowned: () => unowned, ageMs: () => 5 } }
  const views = new ProjectViews({ registry, homeRoot: home.root, ...source })
  const names = (query: Partial<ProjectsQuery>, viewer = local) => {
    const list = views.list({ ...all, ...query }, viewer)
    assert.ok(Value.Check(ProjectList, list))
    return list.projects.map(project => project.name)
  }
  return { base, registry, add, views, names }
}

test('a project shows every field of its view', async t => {
  const { base, add, views } = await setUp(t)
  const id = await add('shop', {
    config: { ...enabledConfig, name: 'shop', dev_host: 'shop.test' },
    compose: 'services: {web: {}}',
  })
  const { generated_at, ...list } = views.list(all, local)
  assert.ok(Math.abs(Date.parse(generated_at) - Date.now()) < 60_000)
  assert.deepEqual(list, {
    filter: null,
    include_global: false,
    include_unregistered: false,
    projects: [
      {
        project_id: id,
        name: 'shop',
        dev_host: 'shop.test',
        repo_root: join(base, 'shop'),
        project_dir: join(base, 'shop/.hack'),
        defined_services: ['web'],
        runtime: null,
        branch_runtime: [],
        kind: 'registered',
        status: 'stopped',
      },
    ],
  })
})

test('the filter is the exact name', async t => {
  const { add, names } = await setUp(t)
  for (const name of ['shop', 'shop-api']) await add(name)
  assert.deepEqual(names({}), ['shop', 'shop-api'])
  assert.deepEqual(names({ filter: 'shop' }), ['shop'])
  assert.deepEqual(names({ filter: 'sho' }), [])
  assert.deepEqual(names({ filter: '' }), [])
})

test('projects below the home are shown when asked for', async t => {
  const { add, names } = await setUp(t)
  await add('shop')
  await add('home/infra')
  await add('homely')
  assert.deepEqual(names({}), ['shop', 'homely'])
  assert.deepEqual(names({ include_global: true }), ['shop', 'infra', 'homely'])
  assert.deepEqual(names({ include_unregistered: true }), ['shop', 'homely'])
})

test('what runs from below the home is shown when asked for, registered or not', async t => {
  const unowned: RuntimeProject[] = []
  const { base, add, views, names } = await setUp(t, { runtime: null, branches: [], known: true }, unowned)
  const shop = await add('shop')
  for (const [project, working_dir] of [
    ['proxy', join(base, 'home/proxy')],
    ['elsewhere', join(base, 'elsewhere')],
    ['nowhere', null],
  ] as const)
    unowned.push({ project, working_dir, services: [] })
  assert.deepEqual(names({}), ['shop'])
  assert.deepEqual(names({ include_global: true }), ['shop', 'proxy'])
  assert.deepEqual(names({ include_global: true, filter: 'proxy' }), ['proxy'])
  assert.deepEqual(names({ include_global: true }, { kind: 'token', projects: [shop] }), ['shop'])
  const { kind, status, project_id } = views.list({ ...all, include_global: true }, local).projects[1] ?? {}
  assert.deepEqual([kind, status, project_id], ['unregistered', 'unregistered', null])
})

test('only enabled projects are shown, and to a token only its own', async t => {
  const { add, names, registry } = await setUp(t)
  const shop = await add('shop')
  await add('blog')
  await add('unwilling', { config: { name: 'unwilling' } })
  await registry.disable(await add('closed'))
  assert.deepEqual(names({}), ['shop', 'blog'])
  assert.deepEqual(names({}, { kind: 'token' }), ['shop', 'blog'])
  assert.deepEqual(names({}, { kind: 'token', projects: [shop] }), ['shop'])
  assert.deepEqual(names({}, { kind: 'token', projects: [] }), [])
})

test('an enabled project whose folder is gone is missing', async t => {
  const { base, add, views, registry } = await setUp(t)
  const id = await add('shop')
  rmSync(join(base, 'shop'), { recursive: true })
  await registry.register(makeRepository(join(base, 'other')))
  assert.equal(views.list(all, local).projects.find(project => project.project_id === id)?.status, 'missing')
  assert.equal(registry.isServed(id), false)
})

test('a runtime snapshot, where there is one, is shown and decides the status', async t => {
  const container = { id: 'c', state: 'running', status: 'Up', name: 'shop-web-1', ports: '', working_dir: null }
  const runtime = { project: 'shop', working_dir: null, services: [{ service: 'web', containers: [container] }] }
  const { add, views } = await setUp(t, { runtime, branches: [{ branch: 'next', runtime }], known: true })
  await add('shop')
  const [project] = views.list(all, local).projects
  assert.equal(project?.status, 'running')
  assert.deepEqual(project?.runtime, runtime)
  assert.deepEqual(project?.branch_runtime, [{ branch: 'next', runtime }])
})

test('what runs is not made up: with an engine that does not say, a project is missing', async t => {
  const { add, views } = await setUp(t, { runtime: null, branches: [], known: false })
  await add('shop')
  const { projects, cache_age_ms } = views.list(all, local)
  assert.deepEqual([projects[0]?.status, projects[0]?.runtime, cache_age_ms], ['missing', null, 5])
})
