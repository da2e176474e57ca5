// What tsc leaves to do: files that are not TypeScript, and the mode of the programs.
import { chmodSync, copyFileSync } from 'node:fs'

copyFileSync('src/jobs/runners/job-wrapper.sh', 'dist/src/jobs/runners/job-wrapper.sh')
for (const program of ['dist/src/main.js', 'dist/src/cli/main.js']) {
  try {
    chmodSync(program, 0o755)
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
}
