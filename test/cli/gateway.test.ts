import assert from 'node:assert/strict'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { sandbox } from './run-hack.js'

test('enable registers, opens both halves, and may be repeated', async t => {
  const { hack, home, repository } = sandbox(t)
  const { code, stdout, stderr } = await hack('gateway', 'enable')
  assert.equal(code, 0)
  assert.match(stdout, /^shop {2}[0-9a-f]{12} {2}enabled\n$/)
  assert.match(stderr, /hack daemon start\n.*hack x gateway token-create/)
  const read = () => [
    readFileSync(join(home, 'projects.json'), 'utf8'),
    readFileSync(join(repository, '.hack', 'hack.config.json'), 'utf8'),
  ]
  const [registry = '', config = ''] = read()
  assert.equal(JSON.parse(config).controlPlane.gateway.enabled, true)
  const { enabledAt } = JSON.parse(registry).projects[0]
  assert.ok(Date.parse(enabledAt) <= Date.now())
  const again = JSON.parse((await hack('gateway', 'enable', '--json')).stdout)
  assert.equal(again.enabledAt, enabledAt)
  assert.equal(read()[1], config)
})

test('disable closes both halves, and may be repeated', async t => {
  const { hack, repository } = sandbox(t)
  await hack('gateway', 'enable')
  for (const _ of [1, 2]) {
    const { code, stdout } = await hack('gateway', 'disable', '--json')
    assert.equal(code, 0)
    assert.equal(JSON.parse(stdout).enabledAt, undefined)
  }
  const config = readFileSync(join(repository, '.hack', 'hack.config.json'), 'utf8')
  assert.equal(JSON.parse(config).controlPlane.gateway.enabled, false)
  assert.equal(JSON.parse((await hack('projects', '--json')).stdout).projects[0].enabled, false)
})

test('a project whose folder is gone can be closed by its id', async t => {
  const { hack, hackIn, repository, base } = sandbox(t)
  const { id } = JSON.parse((await hack('gateway', 'enable', '--json')).stdout)
  rmSync(repository, { recursive: true })
  const { code } = await hackIn({ cwd: base }, 'gateway', 'disable', '--project', id)
  assert.equal(code, 0)
  const unknown = await hackIn({ cwd: base }, 'gateway', 'disable', '--project', 'nonsense\x1b[2J')
  assert.equal(unknown.code, 1)
  assert.ok(!unknown.stderr.includes('\x1b'))
})

test('a config that cannot be changed safely opens nothing', async t => {
  const { hack, repository, home } = sandbox(t)
  await hack('init')
  writeFileSync(join(repository, '.hack', 'hack.config.json'), '{ half')
  const { code, stderr } = await hack('gateway', 'enable')
  assert.equal(code, 1)
  assert.match(stderr, /mend it first/)
  assert.equal(JSON.parse(readFileSync(join(home, 'projects.json'), 'utf8')).projects[0].enabledAt, undefined)
})
