import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { AuditLog } from '../../src/audit/audit-log.js'
import { homeAt, prepareHome } from '../../src/home.js'
import { sandbox } from './run-hack.js'

test('an audit log is intact until a line of it is changed', async t => {
  const { hack, home: root } = sandbox(t)
  const verify = (...argv: string[]) => hack('x', 'gateway', 'audit-verify', ...argv)
  assert.match((await verify()).stdout, /intact: 0 lines/)

  const home = homeAt(root)
  prepareHome(home)
  const log = new AuditLog(home.audit, () => ({ maxBytes: 2 ** 20, maxFiles: 5 }), assert.fail)
  for (const path of ['/one', '/two', '/three'])
    await log.persist({
      at: Date.now(),
      id: path,
      phase: 'result',
      method: 'GET',
      path,
      remoteAddress: 'unix',
    })
  await log.close()
  const intact = JSON.parse((await verify('--json')).stdout)
  assert.deepEqual([intact.intact, intact.lines], [true, 3])

  writeFileSync(home.audit, readFileSync(home.audit, 'utf8').replace('/two', '/too'))
  const { code, stderr } = await verify()
  assert.equal(code, 1)
  assert.match(stderr, /audit\.jsonl:3/)
  const broken = await verify('--json')
  assert.equal(broken.code, 1)
  assert.deepEqual(JSON.parse(broken.stdout).broken, [{ file: home.audit, line: 3 }])
})
