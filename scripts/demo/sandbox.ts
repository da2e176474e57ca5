import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Gateway } from './workflow.js'

const hackd = fileURLToPath(new URL('../../src/main.js', import.meta.url))
const hack = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))
const runFile = promisify(execFile)

/** An installation with one project and one write token, set up with the commands that a person would type. */
export interface Sandbox extends Gateway {
  /** Ends hackd and removes every file. */
  close(): Promise<void>
}

export async function openSandbox(): Promise<Sandbox> {
  const base = await mkdtemp(join(tmpdir(), 'hackd-demo-'))
  let daemon: ChildProcess | undefined
  const close = async () => {
    if (daemon && daemon.exitCode === null && daemon.signalCode === null) {
      daemon.kill('SIGTERM')
      await once(daemon, 'exit')
    }
    await rm(base, { recursive: true, force: true })
  }
  try {
    const project = join(base, 'demo')
    const env = { ...process.env, HACK_HOME: join(base, 'home') }
    await mkdir(project)
    const command = async (...argv: string[]) => {
      process.stdout.write(`$ hack ${argv.join(' ')}\n`)
      return JSON.parse((await runFile(process.execPath, [hack, ...argv, '--json'], { cwd: project, env })).stdout)
    }
    const { id } = await command('init')
    await command('gateway', 'enable')
    await command('config', 'set', '--global', 'controlPlane.gateway.allowWrites', 'true')
    const { token } = await command('x', 'gateway', 'token-create', '--scope', 'write')
    process.stdout.write('$ hackd --port 0\n')
    daemon = spawn(process.execPath, [hackd, '--port', '0', '--log-level', 'warn'], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const url = await listening(daemon)
    return { url, token, projectId: id, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function listening(daemon: ChildProcess): Promise<string> {
  if (!daemon.stdout) throw new Error('hackd has no output')
  for await (const line of createInterface({ input: daemon.stdout })) {
    process.stdout.write(`${line}\n`)
    const [, url] = /^hackd listening on (\S+)$/.exec(line) ?? []
    if (url !== undefined) return url
  }
  throw new Error('hackd ended before it was ready')
}
