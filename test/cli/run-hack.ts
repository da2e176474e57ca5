import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { temporaryFolder } from '../temporary-folder.js'

/** The compiled binary, as npm would link it. */
export const hackBinary = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))

export interface Ran {
  code: number
  stdout: string
  stderr: string
}

export interface Sandbox {
  /** A temporary HACK_HOME. */
  home: string
  /** A temporary git repository, where the commands run. */
  repository: string
  base: string
  hack(...argv: string[]): Promise<Ran>
  /** Runs it elsewhere, or with other variables. */
  hackIn(options: { cwd?: string; env?: NodeJS.ProcessEnv }, ...argv: string[]): Promise<Ran>
}

/** A sandbox in which hackd is started; it is stopped before its home goes. */
export function daemonSandbox(t: TestContext): Sandbox {
  let made: Sandbox | undefined
  // Hooks run in the order in which they were added.
  t.after(() => made?.hack('daemon', 'stop'))
  made = sandbox(t)
  return made
}

export function sandbox(t: TestContext): Sandbox {
  const base = temporaryFolder(t)
  const home = join(base, 'home')
  const repository = join(base, 'shop')
  mkdirSync(repository)
  execFileSync('git', ['init', '--quiet', repository])
  const hackIn: Sandbox['hackIn'] = (options, ...argv) =>
    new Promise(resolve => {
      const env = { PATH: process.env.PATH, HOME: base, HACK_HOME: home, ...options.env }
      const cwd = options.cwd ?? repository
      execFile(process.execPath, [hackBinary, ...argv], { cwd, env }, (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr })
      })
    })
  return { base, home, repository, hackIn, hack: (...argv) => hackIn({}, ...argv) }
}
