import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ShellMeta } from '../../schemas/shells.js'
import { createToken } from '../../src/auth/token-file.js'
import { buildTestApp, type TestApp } from '../build-app.js'
import { eventually } from '../eventually.js'

const project = '0123456789ab'
const other = 'ba9876543210'
const base = `/control-plane/projects/${project}/shells`

type Method = 'GET' | 'POST' | 'DELETE'

function caller({ app, bearer }: TestApp) {
  return async (method: Method, url: string, payload?: object, headers: Record<string, string> = bearer) => {
    const reply = await app.inject({ method, url, headers, ...(payload && { payload }) })
    return { status: reply.statusCode, headers: reply.headers, body: reply.body === '' ? {} : reply.json() }
  }
}

const served = { config: { gateway: { allowWrites: true } }, projects: [project, other] }

test('a shell is opened, looked at, listed and ended', async t => {
  const call = caller(await buildTestApp(t, served))
  const created = await call('POST', base, { cols: 120, rows: 30, shell: '/bin/sh' })
  assert.equal(created.status, 201)
  const shell: ShellMeta = created.body.shell
  assert.deepEqual(
    [shell.status, shell.shell, shell.cols, shell.rows, shell.projectId, shell.projectName, shell.signal],
    ['running', '/bin/sh', 120, 30, project, project, null],
  )
  assert.match(shell.cwd, new RegExp(`/repositories/${project}$`))
  assert.ok(shell.pid && shell.pid > 1)
  assert.deepEqual((await call('GET', `${base}/${shell.shellId}`)).body, { shell })
  assert.deepEqual((await call('GET', base)).body, { shells: [shell] })
  const elsewhere = base.replace(project, other)
  assert.deepEqual((await call('GET', elsewhere)).body, { shells: [] })
  assert.equal((await call('GET', `${elsewhere}/${shell.shellId}`)).body.error, 'shell_not_found')
  const ended = await call('DELETE', `${base}/${shell.shellId}`)
  assert.equal(ended.status, 200)
  assert.equal(ended.body.shell.status, 'exited')
  assert.throws(() => process.kill(shell.pid ?? 0, 0), { code: 'ESRCH' })
  const again = await call('DELETE', `${base}/${shell.shellId}`)
  assert.deepEqual([again.status, again.body.error], [409, 'shell_not_running'])
  assert.equal((await call('GET', `${base}/${shell.shellId}`)).body.shell.status, 'exited')
})

test('every mistake has its code', async t => {
  const testApp = await buildTestApp(t, { ...served, config: { ...served.config, shells: { max: 1 } } })
  const call = caller(testApp)
  for (const [body, status, error] of [
    [{ cols: 0 }, 400, 'invalid_cols'],
    [{ cols: 1001 }, 400, 'invalid_cols'],
    [{ cols: '80' }, 400, 'invalid_cols'],
    [{ rows: 0 }, 400, 'invalid_rows'],
    [{ rows: 1.5 }, 400, 'invalid_rows'],
    [{ shell: '/nowhere/shell' }, 400, 'invalid_shell'],
    [{ shell: '/etc/passwd' }, 400, 'invalid_shell'],
    [{ shell: '/bin' }, 400, 'invalid_shell'],
    [{ cwd: 'nowhere' }, 400, 'invalid_cwd'],
    [{ cwd: '../..' }, 400, 'invalid_cwd'],
    [{ cwd: 7 }, 400, 'invalid_cwd'],
    [{ env: { 'A=B': 'x' } }, 400, 'invalid_env'],
    [{ env: { A: 7 } }, 400, 'invalid_env'],
    [[], 400, 'invalid_request'],
  ] as const) {
    const reply = await call('POST', base, body)
    assert.deepEqual([reply.status, reply.body.error], [status, error], JSON.stringify(body))
    assert.ok(reply.body.message.length > 10)
  }
  const { shell } = (await call('POST', base, { shell: '/bin/sh' })).body
  const more = await call('POST', base, {})
  assert.deepEqual([more.status, more.body.error], [429, 'too_many_shells'])
  for (const [method, path, status, error] of [
    ['GET', '/none', 404, 'shell_not_found'],
    ['DELETE', '/none', 404, 'shell_not_found'],
    ['GET', '/none/stream', 426, 'upgrade_required'],
    ['GET', `/${shell.shellId}/stream`, 426, 'upgrade_required'],
    ['POST', `/${shell.shellId}`, 405, 'method_not_allowed'],
  ] as const) {
    const reply = await call(method, base + path)
    assert.deepEqual([reply.status, reply.body.error], [status, error], `${method} ${path}`)
  }
  const stranger = await call('POST', '/control-plane/projects/ffffffffffff/shells', {})
  assert.deepEqual([stranger.status, stranger.body.error], [403, 'project_disabled'])
  assert.equal((await call('POST', base, {}, {})).body.error, 'missing_token')
})

test('a read token may look, and open nothing; with writes off nobody may', async t => {
  const testApp = await buildTestApp(t, served)
  const call = caller(testApp)
  const { shell } = (await call('POST', base, { shell: '/bin/sh' })).body
  const reader = await createToken(testApp.services.home, { scope: 'read' })
  const bearer = { authorization: `Bearer ${reader.token}` }
  await eventually('the new token', async () => (await call('GET', base, undefined, bearer)).status === 200)
  assert.equal((await call('GET', `${base}/${shell.shellId}`, undefined, bearer)).status, 200)
  for (const [method, path] of [
    ['POST', ''],
    ['DELETE', `/${shell.shellId}`],
    ['GET', `/${shell.shellId}/stream`],
  ] as const) {
    const reply = await call(method, base + path, method === 'POST' ? {} : undefined, bearer)
    assert.deepEqual([reply.status, reply.body.error], [403, 'write_scope_required'], method)
  }
  const off = caller(await buildTestApp(t, { projects: [project] }))
  assert.equal((await off('POST', base, {})).body.error, 'writes_disabled')
  assert.equal((await off('GET', `${base}/none/stream`)).body.error, 'writes_disabled')
  assert.deepEqual((await off('GET', base)).body, { shells: [] })
})

test('the terminal knows what it is, and nothing of hackd', async t => {
  const { services } = await buildTestApp(t, served)
  const meta = await services.shells.create(services.projects.get(project), {
    shell: '/usr/bin/env',
    env: { OWN: 'given', TERM: 'vt100' },
  })
  const attachment = await services.shells.attach({ projectId: project, shellId: meta.shellId })
  let text = ''
  for await (const event of attachment.events) if (event.type === 'output') text += event.bytes
  const lines = text.split('\r\n')
  assert.ok(lines.includes('COLORTERM=truecolor'))
  assert.ok(lines.includes('OWN=given'))
  assert.ok(lines.includes('TERM=vt100'))
  assert.deepEqual(
    lines.filter(line => /^HACK_/.test(line)),
    [`HACK_SHELL_ID=${meta.shellId}`],
  )
})

test('shells are counted, and on record with who opened and ended them, but not with what was typed', async t => {
  const testApp = await buildTestApp(t, served)
  const call = caller(testApp)
  const { shell } = (await call('POST', base, { shell: '/bin/sh', env: { A: 'secret-value' } })).body
  await call('DELETE', `${base}/${shell.shellId}`)
  const metrics = (await testApp.app.inject({ url: '/metrics', headers: testApp.bearer })).body
  assert.match(metrics, /^hackd_shells\{status="running"\} 0$/m)
  assert.match(metrics, /^hackd_shells\{status="exited"\} 1$/m)
  const { entries } = (await call('GET', '/v1/audit')).body
  const lines = entries.map((entry: Record<string, unknown>) => [
    entry.phase,
    entry.action,
    entry.status,
    entry.shellId,
  ])
  for (const expected of [
    ['result', 'shell.create', 201, shell.shellId],
    ['result', 'shell.close', 200, shell.shellId],
  ])
    assert.ok(
      lines.some((line: unknown[]) => JSON.stringify(line) === JSON.stringify(expected)),
      JSON.stringify(expected),
    )
  assert.ok(!JSON.stringify(entries).includes('secret-value'))
})
