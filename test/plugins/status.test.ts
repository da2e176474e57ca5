import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import { Metrics, Status } from '../../schemas/status.js'
import { buildTestApp } from '../build-app.js'

test('status says who and since when', async t => {
  const { app, bearer: headers } = await buildTestApp(t)
  const status = (await app.inject({ url: '/v1/status', headers })).json()
  assert.ok(Value.Check(Status, status))
  assert.deepEqual([status.status, status.version, status.pid], ['ok', '0.0.0-test', process.pid])
  assert.ok(status.uptime_ms >= 0)
})

test('metrics are zero or null where no engine has ever answered', async t => {
  const { app, bearer: headers } = await buildTestApp(t)
  const metrics = (await app.inject({ url: '/v1/metrics', headers })).json()
  assert.ok(Value.Check(Metrics, metrics))
  assert.deepEqual([metrics.cache_updated_at, metrics.events_seen, metrics.streams_active], [null, 0, 0])
  assert.equal(metrics.refresh_count, metrics.refresh_failures)
})

test('Prometheus text: every sample has its type, and answers are counted by class', async t => {
  const { app, bearer: headers } = await buildTestApp(t)
  for (const url of ['/v1/status', '/nowhere', '/v1/status']) await app.inject({ url, headers })
  const { body, headers: answered } = await app.inject({ url: '/metrics', headers })
  assert.match(String(answered['content-type']), /^text\/plain; version=0\.0\.4/)
  assert.match(body, /^hackd_http_responses_total\{class="2xx"\} 2$/m)
  assert.match(body, /^hackd_http_responses_total\{class="4xx"\} 1$/m)
  assert.match(body, /^process_resident_memory_bytes \d+$/m)
  assert.match(body, /^hackd_info\{version="0\.0\.0-test"\} 1$/m)
  const typed = new Set([...body.matchAll(/^# TYPE (\S+) (?:gauge|counter)$/gm)].map(([, name]) => name))
  for (const line of body.split('\n').filter(line => line !== '' && !line.startsWith('#'))) {
    assert.match(line, /^[a-z_]+(\{[a-z]+="[^"]*"\})? -?[\d.e+-]+$/)
    assert.ok(typed.has(/^[a-z_]+/.exec(line)?.[0]))
  }
  assert.ok(body.endsWith('\n'))
})
