// The main job, end to end: a command runs under a token while its log streams here, and another in a shell. Without HACK_GATEWAY_URL it sets
// up an installation of its own in a temporary folder and removes it afterwards.
import { openSandbox, type Sandbox } from './demo/sandbox.js'
import { type Gateway, runWorkflow } from './demo/workflow.js'

const { HACK_GATEWAY_URL, HACK_GATEWAY_TOKEN, HACK_PROJECT_ID, HACK_COMMAND, HACK_ALLOW_WRITES } = process.env

const help = `npm run demo: run a job on a gateway, stream its log, and type a command in a shell

Without variables it sets up a gateway of its own in a temporary folder and removes it afterwards.

  HACK_GATEWAY_URL     a gateway that runs already, such as http://127.0.0.1:7788
  HACK_GATEWAY_TOKEN   a token for it
  HACK_PROJECT_ID      one of its projects (default: the first)
  HACK_ALLOW_WRITES    1: also run the job and the shell there, which takes a write token
  HACK_COMMAND         what to run, in bash
`

async function main(): Promise<number> {
  if (process.argv.slice(2).some(argument => ['-h', '--help'].includes(argument))) {
    process.stdout.write(help)
    return 0
  }
  const command = HACK_COMMAND ?? 'for i in 1 2 3 4 5; do echo "line $i of 5, from $(hostname)"; sleep 0.2; done'
  if (!HACK_GATEWAY_URL) return runInSandbox(command)
  if (!HACK_GATEWAY_TOKEN) throw new Error('HACK_GATEWAY_URL needs HACK_GATEWAY_TOKEN: see hack x gateway token-create')
  const gateway = { url: HACK_GATEWAY_URL, token: HACK_GATEWAY_TOKEN, projectId: HACK_PROJECT_ID }
  return run(gateway, command, HACK_ALLOW_WRITES === '1')
}

async function runInSandbox(command: string): Promise<number> {
  const abort = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => abort.abort())
  let sandbox: Sandbox | undefined
  try {
    sandbox = await openSandbox()
    return await run(sandbox, command, true, abort.signal)
  } finally {
    await sandbox?.close()
  }
}

async function run(gateway: Gateway, command: string, writes: boolean, signal?: AbortSignal): Promise<number> {
  const succeeded = await runWorkflow(gateway, { command: ['bash', '-c', command], writes, ...(signal && { signal }) })
  return succeeded ? 0 : 1
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : error}\n`)
  process.exitCode = 1
}
