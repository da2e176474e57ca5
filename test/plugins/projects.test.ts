import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import projects from '../../plugins/projects.js'
import { ProjectList } from '../../schemas/projects.js'
import { homeAt, prepareHome } from '../../src/home.js'
import { ProjectViews } from '../../src/projects/project-view.js'
import { ProjectRegistry } from '../../src/projects/registry.js'
import { buildTestApp, type TestAppOptions } from '../build-app.js'
import { enabledConfig, makeRepository } from '../projects/repository.js'
import { temporaryFolder } from '../temporary-folder.js'

/** An app that serves `shop` and `blog`, and `infra` below the home. */
async function setUp(t: TestContext, options: (ids: string[]) => TestAppOptions = () => ({})) {
  const base = temporaryFolder(t)
  const home = homeAt(join(base, 'home'))
  prepareHome(home)
  const registry = new ProjectRegistry(home, () => undefined)
  t.after(() => registry.close())
  const ids: string[] = []
  for (const path of ['shop', 'blog', 'home/infra']) {
    const project = await registry.register(makeRepository(join(base, path), { config: enabledConfig }))
    if (project) await registry.enable(project.id)
    if (project) ids.push(project.id)
  }
  const views = new ProjectViews({ registry, homeRoot: home.root })
  const extend: TestAppOptions['extend'] = app => void app.register(projects, { prefix: '/v1/projects', views })
  const { app, bearer } = await buildTestApp(t, { ...options(ids), extend })
  const get = async (query = '') => {
    const reply = await app.inject({ url: `/v1/projects${query}`, headers: { host: 'localhost', ...bearer } })
    return { status: reply.statusCode, body: reply.json() }
  }
  const names = async (query = '') => {
    const { status, body } = await get(query)
    assert.equal(status, 200)
    assert.ok(Value.Check(ProjectList, body))
    return body.projects.map(project => project.name)
  }
  return { app, get, names }
}

test('the enabled projects are listed, whatever is asked of unregistered ones', async t => {
  const { names, get } = await setUp(t)
  assert.deepEqual(await names(), ['shop', 'blog'])
  assert.deepEqual(await names('?include_unregistered=true'), ['shop', 'blog'])
  assert.equal((await get('?include_unregistered=true')).body.include_unregistered, false)
  assert.deepEqual(await names('?include_global=true'), ['shop', 'blog', 'infra'])
  assert.equal((await get('?include_global=true')).body.include_global, true)
})

test('the filter is echoed and exact', async t => {
  const { names, get } = await setUp(t)
  assert.deepEqual(await names('?filter=shop'), ['shop'])
  assert.deepEqual(await names('?filter=sh'), [])
  assert.equal((await get('?filter=shop')).body.filter, 'shop')
  assert.equal((await get()).body.filter, null)
})

test('a token sees the projects it is confined to', async t => {
  const { names } = await setUp(t, ids => ({ token: { scope: 'read', projects: ids.slice(1, 2) } }))
  assert.deepEqual(await names(), ['blog'])
  assert.deepEqual(await names('?filter=shop'), [])
})

test('the local user sees them without a token', async t => {
  const { app } = await setUp(t, () => ({ door: 'local' }))
  const reply = await app.inject('/v1/projects')
  assert.equal(reply.json().projects.length, 2)
})

test('refusals have their codes', async t => {
  const { app, get } = await setUp(t)
  const bad = await get('?include_global=perhaps')
  assert.deepEqual([bad.status, bad.body.error], [400, 'invalid_request'])
  const nobody = await app.inject({ url: '/v1/projects', headers: { host: 'localhost' } })
  assert.deepEqual([nobody.statusCode, nobody.json().error], [401, 'missing_token'])
})
