import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hoistTitled } from '../../plugins/docs/components.js'
import { buildTestApp } from '../build-app.js'

const host = { host: 'localhost' }
const files = ['/docs', '/docs/page.js', '/docs/page.css']

test('without the console there is no page: 401 without a token, 404 with one', async t => {
  const { app, bearer } = await buildTestApp(t)
  for (const url of files) {
    assert.equal((await app.inject({ url, headers: host })).json().error, 'missing_token')
    assert.equal((await app.inject({ url, headers: { ...host, ...bearer } })).json().error, 'not_found')
  }
})

test('the local door has no page without the console either', async t => {
  const { app } = await buildTestApp(t, { door: 'local' })
  assert.equal((await app.inject({ url: '/docs' })).statusCode, 404)
})

test('with the console the page and its files need no token, and run nothing that is not theirs', async t => {
  const { app } = await buildTestApp(t, { config: { gateway: { console: true } } })
  const types = ['text/html', 'text/javascript', 'text/css']
  for (const [at, url] of files.entries()) {
    const { statusCode, headers } = await app.inject({ url, headers: host })
    assert.equal(statusCode, 200)
    assert.equal(headers['content-type'], `${types[at]}; charset=utf-8`)
    assert.equal(headers['x-content-type-options'], 'nosniff')
    const policy = String(headers['content-security-policy']).split('; ')
    assert.ok(policy.includes("default-src 'none'") && policy.includes("frame-ancestors 'none'"))
    assert.ok(policy.every(rule => !rule.includes('unsafe') && !rule.includes('http')))
  }
  const page = (await app.inject({ url: '/docs', headers: host })).body
  const assets = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, target]) => `/${target}`)
  assert.deepEqual(assets.sort(), files.slice(1).sort())
  assert.doesNotMatch(page, /<script>|<style|style=| on\w+=/)
})

test('the page opens no other door', async t => {
  const { app } = await buildTestApp(t, { config: { gateway: { console: true } } })
  for (const url of ['/openapi.json', '/v1/status', '/docs/', '/docs/absent', '/docs/page.html'])
    assert.equal((await app.inject({ url, headers: host })).statusCode, 401, url)
  const wrong = { ...host, authorization: 'Bearer wrong' }
  assert.equal((await app.inject({ url: '/docs', headers: wrong })).statusCode, 401)
})

test('both doors serve one document', async t => {
  const { app, bearer } = await buildTestApp(t)
  const { app: local } = await buildTestApp(t, { door: 'local' })
  const reply = await app.inject({ url: '/openapi.json', headers: { ...host, ...bearer } })
  assert.match(String(reply.headers['content-type']), /^application\/json/)
  assert.equal(reply.json().openapi, '3.1.0')
  assert.equal((await local.inject({ url: '/openapi.json' })).body, reply.body)
})

test('schemas with a title become components wherever they stand', () => {
  const inner = { title: 'Inner', type: 'object', properties: { title: { type: 'string' } } }
  const outer = { title: 'Outer', type: 'array', items: inner, 'x-invalid': 'invalid_request' }
  const { paths, components } = hoistTitled({ paths: { '/a': { get: outer }, '/b': { get: inner } }, components: {} })
  assert.deepEqual(paths, {
    '/a': { get: { $ref: '#/components/schemas/Outer' } },
    '/b': { get: { $ref: '#/components/schemas/Inner' } },
  })
  assert.deepEqual(components.schemas, {
    Inner: inner,
    Outer: { title: 'Outer', type: 'array', items: { $ref: '#/components/schemas/Inner' } },
  })
})

test('two different schemas under one title are refused', () => {
  const paths = { '/a': { get: { title: 'Same', type: 'string' }, post: { title: 'Same', type: 'integer' } } }
  assert.throws(() => hoistTitled({ paths, components: {} }), /called Same/)
})
