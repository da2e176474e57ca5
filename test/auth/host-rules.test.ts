import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { HostRules } from '../../src/auth/host-rules.js'
import { LiveConfig } from '../../src/config.js'
import { replaceJson } from '../../src/storage/atomic-file.js'
import { eventually } from '../eventually.js'

async function rulesFor(t: TestContext, gateway: object) {
  const folder = await mkdtemp(join(tmpdir(), 'hackd-hosts-'))
  const path = join(folder, 'hack.config.json')
  const save = (section: object) => replaceJson(path, { controlPlane: { gateway: section } })
  await save(gateway)
  const config = new LiveConfig(path, assert.fail)
  const rules = new HostRules(config, 'Studio.lan')
  t.after(async () => {
    rules.close()
    config.close()
    await rm(folder, { recursive: true, force: true })
  })
  return { rules, save }
}

test('hosts that are this machine, and hosts that are not', async t => {
  const { rules } = await rulesFor(t, { hosts: ['Gateway.Example.com', 'dev.example.com:8443'] })
  const served = [
    ['127.0.0.1', '127.0.0.1:7788', '192.168.1.4:7788', '[::1]', '[::1]:7788', '[fe80::1]:1'],
    [
      'localhost',
      'LOCALHOST:7788',
      'localhost.',
      'localhost.:80',
      'studio.lan',
      'STUDIO.LAN:1',
      'studio',
      'studio.local',
    ],
    ['box.tailnet.ts.net', 'box.ts.net:7788', 'box.ts.net.', 'gateway.example.com', 'dev.example.com'],
  ].flat()
  const refused = [
    [undefined, '', 'evil.com', 'evil.com:7788', 'localhost.evil.com', 'evillocalhost', 'ts.net', '.ts.net', 'xts.net'],
    [
      'box.ts.net.evil.com',
      'evil.com@127.0.0.1',
      '127.0.0.1@evil.com',
      '127.0.0.1.evil.com',
      '127.0.0.1:80:90',
      '127.1',
    ],
    ['localhost:port', '[::1', '::1', '[evil.com]', 'localhost/', 'localhost evil', 'localhost,evil.com', '999.0.0.1'],
    ['sub.gateway.example.com', 'example.com', 'studio.evil', 'localhost..', 'http://localhost', '0x7f.0.0.1'],
  ].flat()
  for (const host of served) assert.ok(rules.allowsHost(host), host)
  for (const host of refused) assert.ok(!rules.allowsHost(host), host)
})

test('a host that is listed later is served from then on', async t => {
  const { rules, save } = await rulesFor(t, {})
  assert.ok(!rules.allowsHost('new.example.com'))
  await save({ hosts: ['new.example.com'] })
  await eventually('the file to be followed', () => rules.allowsHost('new.example.com'))
})

test('origins: the same host and port, loopback, listed; nothing else', async t => {
  const { rules } = await rulesFor(t, { allowedOrigins: ['https://app.example.com', 'http://10.0.0.2:3000/'] })
  const allowed = [
    ['https://gw.example.com', 'gw.example.com'],
    ['https://gw.example.com', 'gw.example.com:443'],
    ['http://gw.example.com:7788', 'GW.example.com:7788'],
    ['http://localhost:3000', '127.0.0.1:7788'],
    ['http://127.0.0.1:5173', 'gw.example.com'],
    ['http://[::1]:1', 'gw.example.com'],
    ['https://app.example.com', '127.0.0.1'],
    ['http://10.0.0.2:3000', '127.0.0.1'],
  ] as const
  const refused = [
    ['null', '127.0.0.1'],
    ['', '127.0.0.1'],
    ['https://evil.com', '127.0.0.1:7788'],
    ['https://gw.example.com:444', 'gw.example.com'],
    ['http://gw.example.com:7788', 'gw.example.com:7789'],
    ['http://localhost.evil.com', '127.0.0.1'],
    ['http://localhost@evil.com', '127.0.0.1'],
    ['http://evil.com/localhost', '127.0.0.1'],
    ['file://localhost', '127.0.0.1'],
    ['http://app.example.com', '127.0.0.1'],
    ['https://app.example.com.evil.com', '127.0.0.1'],
  ] as const
  for (const [origin, host] of allowed) assert.ok(rules.allowsOrigin(origin, host), `${origin} at ${host}`)
  for (const [origin, host] of refused) assert.ok(!rules.allowsOrigin(origin, host), `${origin} at ${host}`)
})
