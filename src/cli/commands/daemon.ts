import { type Cli, CliError, type Configure, examples, exitCodes } from '../cli.js'
import { askDaemon, daemonProcess, type RunningDaemon, startDaemon, stopDaemon } from '../daemon-process.js'
import { formatDuration } from '../duration.js'
import { inert } from '../ui/inert.js'

interface StartOptions {
  bind?: string
  port?: string
  logLevel?: string
  json?: boolean
}

export const daemon: Configure = (command, cli) => {
  const startCommand = command
    .command('start')
    .description('start hackd in the background and wait until it is ready')
    .option('--bind <address>', 'listen on this address instead of the configured one')
    .option('--port <number>', 'listen on this port instead of the configured one; 0: any free one')
    .option('--log-level <level>', 'fatal, error, warn, info, debug or trace')
    .option('--json', 'print its state as JSON')
    .action((options: StartOptions) => start(options, cli))
  examples(startCommand, [
    ['hack daemon start', 'start it with the configured settings'],
    ['hack daemon start --port 0', 'on any free port'],
  ])
  const stopCommand = command
    .command('stop')
    .description('stop hackd; jobs keep running')
    .option('--json', 'print what was done as JSON')
    .action((options: { json?: boolean }) => stop(options, cli))
  examples(stopCommand, [['hack daemon stop && hack daemon start', 'restart it']])
  const statusCommand = command
    .command('status')
    .description(`tell whether hackd runs; exit code 0 if so, ${exitCodes.notRunning} if not`)
    .option('--json', 'print its state as JSON')
    .action((options: { json?: boolean }) => status(options, cli))
  examples(statusCommand, [
    ['hack daemon status', 'version, pid, address'],
    ['hack daemon status --json', 'the same for a script'],
  ])
  examples(command, [['hack daemon start', 'start hackd in the background']])
}

async function start(options: StartOptions, cli: Cli): Promise<void> {
  const present = await daemonProcess(cli.home)
  const flags = [
    ...(options.bind === undefined ? [] : ['--bind', options.bind]),
    ...(options.port === undefined ? [] : ['--port', options.port]),
    ...(options.logLevel === undefined ? [] : ['--log-level', options.logLevel]),
  ]
  if (present && flags.length > 0) cli.output.note('note: hackd runs already; its flags stay as they are.')
  const running = present ? await answering(present.pid, cli) : await startDaemon(cli.home, flags)
  show(running, options, cli)
}

async function stop(options: { json?: boolean }, cli: Cli): Promise<void> {
  const owner = await daemonProcess(cli.home)
  if (owner) await stopDaemon(owner)
  if (options.json) return cli.output.json({ running: false, ...(owner ? { stopped: owner.pid } : {}) })
  cli.output.line(owner ? `hackd stopped (pid ${owner.pid})` : 'hackd is not running')
}

async function status(options: { json?: boolean }, cli: Cli): Promise<void> {
  const owner = await daemonProcess(cli.home)
  if (owner) return show(await answering(owner.pid, cli), options, cli)
  process.exitCode = exitCodes.notRunning
  if (options.json) return cli.output.json({ running: false, home: cli.home.root, log: cli.home.log })
  cli.output.line('hackd is not running')
  cli.output.note('Start it with: hack daemon start')
}

async function answering(pid: number, { home }: Cli): Promise<RunningDaemon> {
  const running = await askDaemon(home)
  if (running) return running
  throw new CliError('not_answering', `hackd (pid ${pid}) runs but does not answer on ${inert(home.socket)}.`, {
    next: `It may still be starting. If this lasts, read ${inert(home.log)} and run: hack daemon stop`,
  })
}

function show(running: RunningDaemon, options: { json?: boolean }, { output, home }: Cli): void {
  if (options.json) {
    output.json({ running: true, ...running, home: home.root, log: home.log })
    return
  }
  const { pid, version, url, uptimeMs } = running
  output.line(`hackd ${inert(version)} is running (pid ${pid}, up ${formatDuration(uptimeMs)})`)
  if (url) output.line(`  ${output.style('bold', inert(url))}`)
  if (url === null) output.line('  waiting: no project is enabled. In the folder of one, run: hack gateway enable')
}
