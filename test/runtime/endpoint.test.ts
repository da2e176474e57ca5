import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { findEndpoint, parseEndpoint } from '../../src/runtime/endpoint.js'

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'hackd-endpoint-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

function writeContext(home: string, name: string, host: string): void {
  const id = createHash('sha256').update(name).digest('hex')
  const meta = join(home, '.docker/contexts/meta', id)
  mkdirSync(meta, { recursive: true })
  writeFileSync(join(meta, 'meta.json'), JSON.stringify({ Name: name, Endpoints: { docker: { Host: host } } }))
}

test('addresses are understood as docker understands them', () => {
  assert.deepEqual(parseEndpoint('unix:///run/d.sock'), { kind: 'unix', path: '/run/d.sock' })
  assert.deepEqual(parseEndpoint('/run/d.sock'), { kind: 'unix', path: '/run/d.sock' })
  assert.deepEqual(parseEndpoint('tcp://box'), { kind: 'tcp', host: 'box', port: 2375 })
  assert.deepEqual(parseEndpoint('box:4000'), { kind: 'tcp', host: 'box', port: 4000 })
  assert.deepEqual(parseEndpoint('tcp://[::1]:4000'), { kind: 'tcp', host: '::1', port: 4000 })
  assert.deepEqual(parseEndpoint('tcp://box:2376'), { kind: 'tcp', host: 'box', port: 2376, tls: {} })
  assert.deepEqual(parseEndpoint('ssh://me@box:22/run/d.sock'), {
    kind: 'ssh',
    user: 'me',
    host: 'box',
    port: 22,
    path: '/run/d.sock',
  })
})

for (const address of ['unix://relative', 'npipe:////./pipe/docker', 'tcp://', 'tcp://a b'])
  test(`"${address}" is refused with the reason`, () => {
    assert.throws(() => parseEndpoint(address), /Docker address|over unix, tcp and ssh/)
  })

test('the config wins over DOCKER_HOST, which wins over the context', async t => {
  const HOME = folderOf(t)
  writeContext(HOME, 'far', 'ssh://far')
  const environment = { HOME, DOCKER_HOST: 'unix:///b', DOCKER_CONTEXT: 'far' }
  assert.deepEqual(await findEndpoint({ configured: 'unix:///a', environment }), { kind: 'unix', path: '/a' })
  assert.deepEqual(await findEndpoint({ environment }), { kind: 'unix', path: '/b' })
  const { DOCKER_HOST: _, ...rest } = environment
  assert.deepEqual(await findEndpoint({ environment: rest }), { kind: 'ssh', host: 'far' })
})

test('the current context is read from the config of docker, and one that is not there is an error', async t => {
  const HOME = folderOf(t)
  writeContext(HOME, 'desktop', 'unix:///run/desktop.sock')
  writeFileSync(join(HOME, '.docker/config.json'), JSON.stringify({ currentContext: 'desktop' }))
  assert.deepEqual(await findEndpoint({ environment: { HOME } }), { kind: 'unix', path: '/run/desktop.sock' })
  await assert.rejects(findEndpoint({ environment: { HOME, DOCKER_CONTEXT: 'gone' } }), /context "gone"/)
})

test("DOCKER_TLS_VERIFY brings the certificate folder's texts along", async t => {
  const HOME = folderOf(t)
  for (const name of ['ca', 'cert', 'key']) writeFileSync(join(HOME, `${name}.pem`), name)
  const environment = { HOME, DOCKER_HOST: 'tcp://box:2376', DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: HOME }
  const tls = { ca: 'ca', cert: 'cert', key: 'key' }
  assert.deepEqual(await findEndpoint({ environment }), { kind: 'tcp', host: 'box', port: 2376, tls })
})

test('without any setting, a socket that is there is found: a rootless one, then one of Podman', async t => {
  const folder = folderOf(t)
  const environment = { HOME: folder, XDG_RUNTIME_DIR: folder }
  const listen = async (path: string) => {
    const server = createServer().listen(path)
    await new Promise(resolve => server.once('listening', resolve))
    t.after(() => server.close())
  }
  mkdirSync(join(folder, 'podman'))
  await listen(join(folder, 'podman/podman.sock'))
  const podman = await findEndpoint({ environment })
  await listen(join(folder, 'docker.sock'))
  const rootless = await findEndpoint({ environment })
  // A machine with an engine of its own prefers that one.
  const system = { kind: 'unix', path: '/var/run/docker.sock' }
  const expected = (name: string) => [system, { kind: 'unix', path: join(folder, name) }]
  assert.ok(expected('podman/podman.sock').some(endpoint => JSON.stringify(endpoint) === JSON.stringify(podman)))
  assert.ok(expected('docker.sock').some(endpoint => JSON.stringify(endpoint) === JSON.stringify(rootless)))
})
