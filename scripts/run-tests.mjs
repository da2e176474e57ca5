// Runs every compiled test, a file at a time per core, with a readable report.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

const wanted = process.argv.slice(2)
const files = readdirSync('dist/test', { recursive: true })
  .filter(name => name.endsWith('.test.js') && (wanted.length === 0 || wanted.some(part => name.includes(part))))
  .map(name => join('dist/test', name))
  .sort()
if (files.length === 0) throw new Error('there is no such test; build first: npm run build')
const result = spawnSync(
  process.execPath,
  ['--test', '--test-reporter=spec', '--test-timeout=300000', `--test-concurrency=${availableParallelism()}`, ...files],
  { stdio: 'inherit' },
)
process.exit(result.status ?? 1)
