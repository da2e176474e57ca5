// Runs every compiled test, a file at a time per core, with a readable report. These tests drive real processes against
// the clock of a machine that may be busy: files that fail are run once more, alone, and the report says which.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const wanted = process.argv.slice(2)
const files = readdirSync('dist/test', { recursive: true })
  .filter(name => name.endsWith('.test.js') && (wanted.length === 0 || wanted.some(part => name.includes(part))))
  .map(name => join('dist/test', name))
  .sort()
if (files.length === 0) throw new Error('there is no such test; build first: npm run build')

const failedFiles = fileURLToPath(new URL('failed-files.mjs', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'hackd-tests-'))

/** The files with a failure; all of them where the run itself broke. */
function run(chosen, concurrency) {
  const list = join(folder, 'failed')
  const reporters = ['--test-reporter=spec', '--test-reporter-destination=stdout']
  const second = [`--test-reporter=${failedFiles}`, `--test-reporter-destination=${list}`]
  const limits = ['--test-timeout=300000', `--test-concurrency=${concurrency}`]
  const { status } = spawnSync(process.execPath, ['--test', ...reporters, ...second, ...limits, ...chosen], {
    stdio: 'inherit',
  })
  if (status === 0) return []
  const failed = readFileSync(list, 'utf8').split('\n').filter(Boolean)
  const known = chosen.filter(file => failed.some(path => relative('.', path) === file))
  return known.length > 0 ? known : chosen
}

let failed = run(files, availableParallelism())
if (failed.length > 0 && failed.length <= 5) {
  console.log(`\nFailed beside others, and run again alone:\n${failed.map(file => `  ${file}`).join('\n')}\n`)
  failed = run(failed, 1)
}
rmSync(folder, { recursive: true })
process.exitCode = failed.length > 0 ? 1 : 0
