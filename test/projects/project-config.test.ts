import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  createProjectConfig,
  defaultName,
  emptyConfig,
  readDefinedServices,
  readProjectConfig,
  setGatewayEnabled,
} from '../../src/projects/project-config.js'
import { isPresent } from '../../src/projects/repository-file.js'
import { temporaryFolder } from '../temporary-folder.js'
import { enabledConfig, makeRepository } from './repository.js'

test('name, host and the switch are read', t => {
  const root = makeRepository(temporaryFolder(t), {
    config: { name: 'shop', dev_host: 'shop.localhost:3000', ...enabledConfig, unknown: { kept: true } },
  })
  assert.deepEqual(readProjectConfig(root), {
    config: { name: 'shop', devHost: 'shop.localhost:3000', enabled: true },
    warnings: [],
  })
})

test('what only the global config may set is ignored with a warning each', t => {
  const gateway = { enabled: true, bind: '0.0.0.0', port: 1, allowWrites: true }
  const root = makeRepository(temporaryFolder(t), { config: { controlPlane: { gateway } } })
  const { config, warnings } = readProjectConfig(root)
  assert.deepEqual(config, { ...emptyConfig, enabled: true })
  assert.deepEqual(
    ['bind', 'port', 'allowWrites'].map(key => warnings.some(warning => warning.includes(`gateway.${key} is ignored`))),
    [true, true, true],
  )
})

test('values that do not fit are ignored with a warning each, and enable nothing', t => {
  const root = makeRepository(temporaryFolder(t), {
    config: { name: 'a\x1b[31mb', dev_host: 'http://x', controlPlane: { gateway: { enabled: 'true' } } },
  })
  const { config, warnings } = readProjectConfig(root)
  assert.deepEqual(config, emptyConfig)
  assert.equal(warnings.length, 3)
})

test('odd shapes enable nothing', t => {
  const root = makeRepository(temporaryFolder(t))
  const path = join(root, '.hack', 'hack.config.json')
  for (const document of [
    '{"controlPlane":null}',
    '{"controlPlane":{"gateway":[true]}}',
    '{"__proto__":{"controlPlane":{"gateway":{"enabled":true}}}}',
    '{"controlPlane":{"__proto__":{"gateway":{"enabled":true}}}}',
  ]) {
    writeFileSync(path, document)
    assert.deepEqual(readProjectConfig(root).config, emptyConfig, document)
  }
})

test('a text that is no JSON object is told apart from a config', t => {
  for (const text of ['', '{', '[]', 'null', `${'['.repeat(60_000)}`]) {
    const root = makeRepository(temporaryFolder(t), { config: text })
    const { config, warnings } = readProjectConfig(root)
    assert.equal(config, undefined)
    assert.equal(warnings.length, 1)
  }
})

test('a link may lead elsewhere in the repository, never out of it', t => {
  const base = temporaryFolder(t)
  const outside = makeRepository(join(base, 'outside'), { config: enabledConfig, compose: 'services: {secret: }' })
  const root = makeRepository(join(base, 'root'))
  const path = join(root, '.hack', 'hack.config.json')

  writeFileSync(join(root, 'elsewhere.json'), JSON.stringify(enabledConfig))
  symlinkSync('../elsewhere.json', path)
  assert.equal(readProjectConfig(root).config?.enabled, true)

  renameSync(path, join(root, 'aside'))
  symlinkSync(join(outside, '.hack', 'hack.config.json'), path)
  symlinkSync(join(outside, '.hack', 'docker-compose.yml'), join(root, '.hack', 'docker-compose.yml'))
  assert.deepEqual(readProjectConfig(root).config, emptyConfig)
  assert.match(readProjectConfig(root).warnings.join(), /leads out/)
  assert.equal(readDefinedServices(root), null)

  renameSync(join(root, '.hack'), join(root, 'aside-too'))
  symlinkSync(join(outside, '.hack'), join(root, '.hack'))
  assert.deepEqual(readProjectConfig(root).config, emptyConfig)
  assert.equal(isPresent(root), false)
})

test('files that are missing, huge, folders, loops or pipes are no obstacle', t => {
  const make: Record<string, (path: string) => void> = {
    missing: () => undefined,
    huge: path => writeFileSync(path, JSON.stringify({ ...enabledConfig, padding: 'x'.repeat(200_000) })),
    folder: path => mkdirSync(path),
    loop: path => symlinkSync('hack.config.json', path),
    pipe: path => execFileSync('mkfifo', [path]),
    device: path => symlinkSync('/dev/zero', path),
  }
  for (const [kind, plant] of Object.entries(make)) {
    const root = makeRepository(temporaryFolder(t))
    plant(join(root, '.hack', 'hack.config.json'))
    plant(join(root, '.hack', 'docker-compose.yml'))
    const { config, warnings } = readProjectConfig(root)
    assert.deepEqual(config, emptyConfig, kind)
    assert.equal(warnings.length, kind === 'missing' ? 0 : 1, kind)
    assert.equal(readDefinedServices(root), null, kind)
  }
})

test('services are listed in the order of the file', t => {
  const root = makeRepository(temporaryFolder(t), {
    compose: 'x-base: &base {image: x}\nservices:\n  web: *base\n  db:\n    <<: *base\n  "10": {}\n  api: {}\n',
  })
  assert.deepEqual(readDefinedServices(root), ['web', 'db', '10', 'api'])
  makeRepository(root, { compose: 'services: {}' })
  assert.deepEqual(readDefinedServices(root), [])
})

test('compose files made to hurt give null or names, and quickly', t => {
  const root = makeRepository(temporaryFolder(t))
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x]',
    ...'bcdefghijk'.split('').map((name, index) => {
      const before = 'abcdefghij'.charAt(index)
      return `${name}: &${name} [${Array(8).fill(`*${before}`).join()}]`
    }),
    'services: *k',
  ].join('\n')
  const cases: [string, string, string[] | null][] = [
    ['aliases that multiply', bomb, null],
    ['deep nesting', `services: ${'{a: '.repeat(20_000)}`, null],
    ['deep sequences', '- '.repeat(60_000), null],
    ['no map', 'services: [a, b]', null],
    ['a scalar', 'just text', null],
    ['several documents', '---\n'.repeat(1000), null],
    ['broken', 'services:\n  a: {\n', null],
    ['control characters', 'services:\n  "a\\x1b[31m": {}\n  b: {}\n', ['b']],
    ['equal keys', `services:\n${'  same: {}\n'.repeat(5000)}`, ['same']],
  ]
  for (const [kind, compose, expected] of cases) {
    makeRepository(root, { compose })
    const since = performance.now()
    assert.deepEqual(readDefinedServices(root), expected, kind)
    assert.ok(performance.now() - since < 5000, kind)
  }
})

test('the config is created once and never overwritten', async t => {
  const root = temporaryFolder(t)
  assert.equal(await createProjectConfig(root, 'shop'), true)
  assert.deepEqual(readProjectConfig(root).config, { name: 'shop', devHost: null, enabled: false })
  const path = join(root, '.hack', 'hack.config.json')
  assert.equal(statSync(path).mode & 0o777, 0o644)
  writeFileSync(path, '{"mine": 1}')
  assert.equal(await createProjectConfig(root, 'other'), false)
  assert.equal(readFileSync(path, 'utf8'), '{"mine": 1}')
})

test('the switch is set beside everything else in the file', async t => {
  const config = { name: 'x', controlPlane: { other: 1, gateway: { port: 1 } }, z: [1] }
  const root = makeRepository(temporaryFolder(t), { config })
  assert.equal(await setGatewayEnabled(root, true), true)
  assert.equal(await setGatewayEnabled(root, true), false)
  const path = join(root, '.hack', 'hack.config.json')
  assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')), {
    ...config,
    controlPlane: { other: 1, gateway: { port: 1, enabled: true } },
  })
  assert.equal(await setGatewayEnabled(root, false), true)
  assert.equal(readProjectConfig(root).config?.enabled, false)
})

test('a config that is no JSON object is not written over', async t => {
  const root = makeRepository(temporaryFolder(t), { config: '{"half":' })
  await assert.rejects(setGatewayEnabled(root, true), /not a JSON object; mend it first/)
  assert.equal(readFileSync(join(root, '.hack', 'hack.config.json'), 'utf8'), '{"half":')
})

test('nothing is written through a .hack that leads out of the repository', async t => {
  const base = temporaryFolder(t)
  mkdirSync(join(base, 'victim'))
  mkdirSync(join(base, 'root'))
  symlinkSync('../victim', join(base, 'root', '.hack'))
  await assert.rejects(createProjectConfig(join(base, 'root'), 'x'), /not a folder of this repository/)
  assert.throws(() => statSync(join(base, 'victim', 'hack.config.json')), { code: 'ENOENT' })
})

test('a folder of any name has a printable default name', () => {
  assert.equal(defaultName('/home/me/shop'), 'shop')
  assert.equal(defaultName('/tmp/a\x1b[31m\nb'), 'a[31mb')
  assert.equal(defaultName('/'), 'project')
  assert.equal(defaultName(`/tmp/${'ü'.repeat(200)}`), 'ü'.repeat(100))
})
