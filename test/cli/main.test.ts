import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { hackBinary, sandbox } from './run-hack.js'

const groups: Record<string, string[]> = {
  '': ['init', 'gateway', 'projects', 'daemon', 'config', 'x'],
  gateway: ['enable', 'disable'],
  daemon: ['start', 'stop', 'status'],
  config: ['get', 'set'],
  x: ['gateway'],
  'x gateway': ['token-create', 'token-list', 'token-revoke', 'token-rotate', 'audit-verify'],
}

test('every command has a help with examples', async t => {
  const { hack } = sandbox(t)
  const commands = Object.entries(groups).flatMap(([group, names]) => names.map(name => `${group} ${name}`.trim()))
  await Promise.all(
    ['', ...commands].map(async command => {
      const words = command.split(' ').filter(word => word !== '')
      const { code, stdout, stderr } = await hack(...words, '--help')
      assert.equal(code, 0, command)
      assert.equal(stderr, '', command)
      assert.match(stdout, new RegExp(`^Usage: hack ?${command}`))
      assert.match(stdout, /Examples:\n {2}\$ \S*hack/, command)
      for (const name of groups[command] ?? []) assert.match(stdout, new RegExp(`^ {2}${name}\\b`, 'm'))
    }),
  )
})

test('help reads the same however it is asked for', async t => {
  const { hack } = sandbox(t)
  const asked = await hack('x', 'gateway', 'token-create', '--help')
  assert.deepEqual(await hack('help', 'x', 'gateway', 'token-create'), asked)
  assert.deepEqual(await hack(), await hack('--help'))
})

test('the version is that of the package', async t => {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))
  const { hack } = sandbox(t)
  for (const flag of ['--version', '-V'])
    assert.deepEqual(await hack(flag), { code: 0, stdout: `${version}\n`, stderr: '' })
})

test('what is mistyped is exit code 2, a sentence on stderr, and nothing on stdout', async t => {
  const { hack } = sandbox(t)
  for (const [argv, expected] of [
    [['gatway'], /Did you mean gateway\?/],
    [['gateway', 'enabel'], /Did you mean enable\?/],
    [['gateway'], /Usage: hack gateway/],
    [['init', '--nmae', 'x'], /Did you mean --name\?/],
    [['init', 'surplus'], /too many arguments/],
    [['config', 'set', '--global', 'controlPlane.gateway.port'], /missing required argument/],
    [['--home'], /argument missing/],
  ] as const) {
    const { code, stdout, stderr } = await hack(...argv)
    assert.equal(code, 2, argv.join(' '))
    assert.equal(stdout, '', argv.join(' '))
    assert.match(stderr, expected)
  }
})

test('a failure with --json is one document with its code', async t => {
  const { hack } = sandbox(t)
  const { code, stdout } = await hack('gateway', 'disable', '--json')
  assert.equal(code, 1)
  assert.equal(JSON.parse(stdout).error, 'unknown_project')
})

test('--home is understood before and after the command', async t => {
  const { hack, base } = sandbox(t)
  await hack('--home', `${base}/other`, 'init')
  const { stdout } = await hack('projects', '--json', '--home', `${base}/other`)
  assert.equal(JSON.parse(stdout).projects.length, 1)
  assert.equal(JSON.parse((await hack('projects', '--json')).stdout).projects.length, 0)
})

test('a reader that goes away early is no failure', async t => {
  const { home } = sandbox(t)
  const child = spawn(process.execPath, [hackBinary, 'config', 'get', '--global'], { env: { HACK_HOME: home } })
  child.stdout.destroy()
  const [[code], stderr] = await Promise.all([once(child, 'exit'), text(child.stderr)])
  assert.deepEqual([code, stderr], [0, ''])
})

test('help starts fast', t => {
  const { home } = sandbox(t)
  const time = (argv: string[]) => {
    const since = performance.now()
    spawnSync(process.execPath, argv, { env: { HACK_HOME: home } })
    return performance.now() - since
  }
  // The machine may be busy with other tests: the best of both, taken in turns, until they fit or have had their chance.
  let [node, help] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (let round = 0; round < 7 || (help > 1.5 * node + 60 && round < 40); round++) {
    node = Math.min(node, time(['-e', '0']))
    help = Math.min(help, time([hackBinary, '--help']))
  }
  assert.ok(help <= 1.5 * node + 60, `${help} ms, against ${node} ms of node alone`)
})
