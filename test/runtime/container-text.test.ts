import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Port } from 'dockerode'
import { containerName, portsText } from '../../src/runtime/container-text.js'

/** `IP:PUBLIC->PRIVATE/TYPE`, or `PRIVATE/TYPE`, as the engine's list has it. */
function port(text: string): Port {
  const [, ip, publicPort, privatePort, type] = /^(?:(.*):(\d+)->)?(\d+)\/(\w+)$/.exec(text) ?? []
  const published = ip === undefined ? {} : { IP: ip, PublicPort: Number(publicPort) }
  return { PrivatePort: Number(privatePort), Type: String(type), ...published } as Port
}

// What docker ps 28.2 printed for these lists.
const cases: [ports: string[], text: string][] = [
  [[], ''],
  [['80/tcp'], '80/tcp'],
  [['127.0.0.1:8080->80/tcp'], '127.0.0.1:8080->80/tcp'],
  [['443/tcp', '80/tcp', '81/tcp', '82/tcp'], '80-82/tcp, 443/tcp'],
  [['0.0.0.0:92->92/tcp', '0.0.0.0:90->90/tcp', '0.0.0.0:91->91/tcp'], '0.0.0.0:90-92->90-92/tcp'],
  [
    ['0.0.0.0:53->53/udp', '0.0.0.0:53->53/tcp', ':::53->53/tcp'],
    '0.0.0.0:53->53/tcp, 0.0.0.0:53->53/udp, [::]:53->53/tcp',
  ],
  [['0.0.0.0:8001->81/tcp', '0.0.0.0:8000->80/tcp', '90/tcp'], '90/tcp, 0.0.0.0:8000->80/tcp, 0.0.0.0:8001->81/tcp'],
  [[':::32768->80/tcp', '0.0.0.0:32768->80/tcp'], '0.0.0.0:32768->80/tcp, [::]:32768->80/tcp'],
]

for (const [ports, text] of cases)
  test(`the ports ${ports.join(' ') || '(none)'} read as docker ps prints them`, () => {
    assert.equal(portsText(ports.map(port)), text)
  })

test('an engine that knows no ports says null, which reads as none', () => {
  assert.equal(portsText(null), '')
})

test('a name loses its slash, and the names that links give are left out', () => {
  assert.equal(containerName(['/demo_web_1', '/demo_proxy_1/web']), 'demo_web_1')
})
