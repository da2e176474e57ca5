import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { resolveWorkingDirectory } from '../../src/projects/working-directory.js'

/** A project `root` with `inner/`, a file, and symlinks; `root-sibling/` lies beside it. */
function buildProject(t: TestContext): { base: string; root: string } {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'cwd-')))
  t.after(() => rmSync(base, { recursive: true, force: true }))
  const root = join(base, 'root')
  mkdirSync(join(root, 'inner', 'deep'), { recursive: true })
  mkdirSync(join(base, 'root-sibling'))
  writeFileSync(join(root, 'file'), '')
  symlinkSync(join(root, 'inner'), join(root, 'link-inside'))
  symlinkSync(base, join(root, 'link-outside'))
  symlinkSync(root, join(base, 'link-to-root'))
  return { base, root }
}

test('folders inside the project are found, symlinks resolved', async t => {
  const { base, root } = buildProject(t)
  const cases: [string | undefined, string][] = [
    [undefined, root],
    ['', root],
    ['.', root],
    ['inner/deep', join(root, 'inner/deep')],
    ['inner/..', root],
    [join(root, 'inner'), join(root, 'inner')],
    ['link-inside/deep', join(root, 'inner/deep')],
    ['link-outside/root/inner', join(root, 'inner')],
  ]
  for (const [cwd, expected] of cases) assert.equal(await resolveWorkingDirectory(root, cwd), expected, String(cwd))
  assert.equal(await resolveWorkingDirectory(join(base, 'link-to-root'), 'inner'), join(root, 'inner'))
})

test('everything else is invalid_cwd', async t => {
  const { base, root } = buildProject(t)
  const outside = ['..', '../root-sibling', '/', base, `${root}-sibling`, 'link-outside', 'inner/../../root-sibling']
  const unusable = ['missing', 'file', 'file/x', 'inner\0', '\0', '~']
  for (const cwd of [...outside, ...unusable])
    await assert.rejects(resolveWorkingDirectory(root, cwd), { code: 'invalid_cwd' }, cwd)
  await assert.rejects(resolveWorkingDirectory(join(base, 'gone'), '.'), { code: 'invalid_cwd' })
})
