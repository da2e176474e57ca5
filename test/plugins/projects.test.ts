import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import { ProjectList } from '../../schemas/projects.js'
import type { Home } from '../../src/home.js'
import { projectId, registerProject, setEnabled } from '../../src/projects/project-file.js'
import { buildTestApp, type TestAppOptions } from '../build-app.js'
import { enabledConfig, makeRepository } from '../projects/repository.js'
import { temporaryFolder } from '../temporary-folder.js'

/** An app that serves `shop` and `blog`, and `infra` below the home; its token may be confined to one of them. */
async function setUp(t: TestContext, { only, door = 'tcp' }: { only?: string; door?: TestAppOptions['door'] } = {}) {
  const base = temporaryFolder(t)
  const prepare = async (home: Home) => {
    for (const path of [join(base, 'shop'), join(base, 'blog'), join(home.root, 'infra')]) {
      const { id } = await registerProject(home, makeRepository(path, { config: enabledConfig }))
      await setEnabled(home, id, true)
    }
  }
  const confined = only === undefined ? {} : { projects: [projectId(only, join(base, only, '.hack'))] }
  const { app, bearer } = await buildTestApp(t, { door, prepare, token: { scope: 'read', ...confined } })
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
  const { names } = await setUp(t, { only: 'blog' })
  assert.deepEqual(await names(), ['blog'])
  assert.deepEqual(await names('?filter=shop'), [])
})

test('the local user sees them without a token', async t => {
  const { app } = await setUp(t, { door: 'local' })
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
