// What tsc leaves to do: files that are not TypeScript, the mode of the programs, and what was compiled from sources
// that are gone, since a stale test must not run and a stale module must not be packed.
import { chmodSync, copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const asTheyAre = [
  'src/jobs/runners/job-wrapper.sh',
  'plugins/docs/page.html',
  'plugins/docs/page.css',
  'plugins/docs/page.js',
]
for (const file of asTheyAre) copyFileSync(file, join('dist', file))
for (const program of ['dist/src/main.js', 'dist/src/cli/main.js']) chmodSync(program, 0o755)

for (const name of readdirSync('dist', { recursive: true })) {
  const compiled = /^((?:src|plugins|schemas|scripts|test)\b.*)\.(?:js|js\.map|d\.ts)$/.exec(name)
  if (compiled && !existsSync(`${compiled[1]}.ts`) && !asTheyAre.includes(name)) rmSync(join('dist', name))
}
