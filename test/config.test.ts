import assert from 'node:assert/strict'
import { chmodSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ConfigError, LiveConfig, loadConfig, parseConfig } from '../src/config.js'
import { replaceJson } from '../src/storage/atomic-file.js'
import { eventually } from './eventually.js'
import { temporaryFolder } from './temporary-folder.js'

const problemsOf = (document: unknown): string[] => {
  const text = typeof document === 'string' ? document : JSON.stringify(document)
  try {
    parseConfig('config', text)
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.problems
  }
}

test('without a file, or with an empty one, the defaults hold, and they refuse', t => {
  const { config } = loadConfig(join(temporaryFolder(t), 'none'))
  assert.deepEqual(parseConfig('config', '{}').config, config)
  assert.equal(config.gateway.bind, '127.0.0.1')
  assert.equal(config.gateway.port, 7788)
  assert.equal(config.gateway.allowWrites, false)
  assert.equal(config.supervisor.logsMaxBytes, 4 * 1024 ** 3)
  assert.deepEqual(config.gateway.rateLimit, { perMinute: 6000, failedAuthPerMinute: 30 })
})

test('two configs share nothing', () => {
  const [one, other] = [parseConfig('config', '{}').config, parseConfig('config', '{}').config]
  one.gateway.hosts.push('changed')
  assert.deepEqual(other.gateway.hosts, [])
  assert.deepEqual(parseConfig('config', '{}').config.gateway.hosts, [])
})

test('every problem is listed, by key', () => {
  const gateway = { port: 70000, allowWrites: 'yes', hosts: [1], rateLimit: { perMinute: 0 } }
  const problems = problemsOf({ controlPlane: { gateway, shells: null, audit: { maxFiles: 1.5 } } })
  for (const key of [
    'gateway.port',
    'gateway.allowWrites',
    'gateway.hosts.0',
    'gateway.rateLimit.perMinute',
    'shells',
    'audit.maxFiles',
  ])
    assert.ok(
      problems.some(problem => problem.startsWith(`controlPlane.${key}: `)),
      `${key} in ${problems.join('\n')}`,
    )
  assert.equal(problems.length, 6)
})

test('what is no config is refused with a sentence', () => {
  for (const text of [
    '',
    '{',
    'null',
    '[]',
    '"x"',
    '{"controlPlane":[]}',
    '{"controlPlane":{"gateway":[]}}',
    '{"controlPlane":"x"}',
  ])
    assert.equal(problemsOf(text).length, 1, text)
})

test('unknown keys are warned about, also those that every object inherits', () => {
  const controlPlane = { constructor: 1, gateway: { pord: 1, toString: 2 }, runtime: {} }
  const { warnings } = parseConfig('config', JSON.stringify({ other: 1, controlPlane }))
  assert.deepEqual(
    warnings.map(warning => warning.split(' ')[0]),
    ['controlPlane.constructor', 'controlPlane.gateway.pord', 'controlPlane.gateway.toString'],
  )
})

test('a file that cannot be read is a problem, not the defaults', t => {
  assert.throws(() => loadConfig(temporaryFolder(t)), ConfigError)
})

function live(t: TestContext, content?: string) {
  const path = join(temporaryFolder(t), 'hack.config.json')
  if (content !== undefined) writeFileSync(path, content)
  const reports: string[] = []
  const config = new LiveConfig(path, problem => reports.push(problem))
  t.after(() => config.close())
  return { path, reports, config }
}

test('a change takes effect within a second and is announced', async t => {
  const { path, config } = live(t)
  let announced = 0
  const stop = config.onChange(now => {
    announced++
    assert.equal(now.gateway.allowWrites, config.current.gateway.allowWrites)
  })
  const since = performance.now()
  await replaceJson(path, { controlPlane: { gateway: { allowWrites: true } } })
  await eventually('the change', () => config.current.gateway.allowWrites)
  assert.ok(performance.now() - since < 1000)
  assert.equal(announced, 1)
  stop()
  unlinkSync(path)
  await eventually('the defaults', () => !config.current.gateway.allowWrites)
  assert.equal(announced, 1)
})

test('a file that does not parse keeps the last good config and is reported', async t => {
  const { path, config, reports } = live(t, '{"controlPlane":{"gateway":{"port":1234}}}')
  writeFileSync(path, '{"controlPlane":{"gateway":{"port":"x"}}}')
  await eventually('the report', () => reports.length > 0)
  assert.match(reports.join(), /gateway\.port.*\n.*last good/s)
  assert.equal(config.current.gateway.port, 1234)
  writeFileSync(path, '{"controlPlane":{"gateway":{"port":4321}}}')
  await eventually('the mended file', () => config.current.gateway.port === 4321)
})

test('a bad config at start is thrown, and nothing keeps following it', t => {
  const path = join(temporaryFolder(t), 'hack.config.json')
  writeFileSync(path, '{')
  chmodSync(path, 0o600)
  assert.throws(() => new LiveConfig(path, () => undefined), ConfigError)
})
