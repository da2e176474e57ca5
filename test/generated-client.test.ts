import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startHackd } from './hackd.js'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))
const program = (path: string) => join(root, 'node_modules', path)
const strict = ['--strict', '--exactOptionalPropertyTypes', '--target', 'es2022', '--module', 'nodenext']

test('a client generated from the document compiles strictly and drives hackd', async t => {
  const hackd = await startHackd(t)
  // Below the root, where the packages are found.
  const folder = mkdtempSync(join(root, 'dist', 'generated-client-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const node = (...argv: string[]) => run(process.execPath, argv, { cwd: folder })

  await node(join(root, 'dist/scripts/openapi.js'), 'openapi.json')
  const generate = ['openapi.json', '--output', 'schema.ts', '--default-non-nullable', 'false']
  await node(program('openapi-typescript/bin/cli.js'), ...generate)
  copyFileSync(join(root, 'test/fixtures/generated-client.ts'), join(folder, 'client.ts'))
  const compiled = await node(program('typescript/bin/tsc'), ...strict, 'client.ts').catch(error => error)
  assert.equal(compiled.stdout, '')

  const { stdout } = await node('client.js', hackd.url, hackd.token)
  assert.deepEqual(JSON.parse(stdout), {
    status: 'ok',
    project: 'demo',
    created: 201,
    got: 'generated',
    listed: [true],
    log: 'hello\n',
    absent: [404, 'job_not_found'],
    empty: [400, 'missing_command'],
    hello: 'hello',
  })
})
