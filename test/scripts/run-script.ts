import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Runs a compiled script as npm would. */
export function runScript(name: string, env: NodeJS.ProcessEnv, cwd?: string, argv: string[] = []) {
  const path = fileURLToPath(new URL(`../../scripts/${name}.js`, import.meta.url))
  const options = { env: { PATH: process.env.PATH, ...env }, ...(cwd === undefined ? {} : { cwd }) }
  return new Promise<{ code: number; stdout: string; stderr: string }>(resolve => {
    execFile(process.execPath, [path, ...argv], { maxBuffer: 2 ** 24, ...options }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr })
    })
  })
}
