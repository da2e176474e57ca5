#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { addLazily, CliError, createCli, examples, exitCodes, type LazyCommand } from './cli.js'
import { inert } from './ui/inert.js'
import { Output } from './ui/output.js'

const commands: LazyCommand[] = [
  {
    name: 'init',
    summary: 'register this folder as a project',
    load: async () => (await import('./commands/init.js')).init,
  },
  {
    name: 'gateway',
    summary: 'open a project to the gateway, or close it',
    load: async () => (await import('./commands/gateway.js')).gateway,
  },
  {
    name: 'projects',
    summary: 'list the registered projects',
    load: async () => (await import('./commands/projects.js')).projects,
  },
  {
    name: 'daemon',
    summary: 'start and stop hackd, and see how it is',
    load: async () => (await import('./commands/daemon.js')).daemon,
  },
  {
    name: 'config',
    summary: 'read and change the settings',
    load: async () => (await import('./commands/config.js')).config,
  },
  {
    name: 'x',
    summary: 'more: tokens and the audit log (x gateway)',
    load: async () => (await import('./commands/x.js')).x,
  },
]

const version: string = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')).version

function buildProgram(output: Output): Command {
  const program = new Command('hack')
    .description('Run jobs on this machine from anywhere, through a small authenticated gateway.')
    .option('--home <dir>', 'where hackd keeps everything (default: $HACK_HOME, else ~/.hack)')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .exitOverride()
    .showSuggestionAfterError()
    .showHelpAfterError('Run it with --help to see how it is used.')
  examples(program, [
    ['hack init && hack gateway enable', 'make this folder a project and open it'],
    ['hack daemon start', 'start the gateway'],
    ['hack x gateway token-create', 'create a token that may look'],
  ])
  addLazily(program, createCli(program, process.env, process.cwd(), output), commands)
  program
    .command('help [command...]')
    .description('show the help of a command')
    .action(async (words: string[] = []) => {
      await buildProgram(output).parseAsync([...words, '--help'], { from: 'user' })
    })
  return program
}

async function main(argv: string[]): Promise<void> {
  const output = new Output(process.stdout, process.stderr, process.env)
  try {
    // Without a command, the help is the answer.
    await buildProgram(output).parseAsync(argv.length === 0 ? ['--help'] : argv, { from: 'user' })
  } catch (error) {
    process.exitCode = report(error, argv.includes('--json'), output)
  }
}

function report(error: unknown, asJson: boolean, output: Output): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage
  const message = error instanceof Error ? error.message : String(error)
  const [code, reported] = error instanceof CliError ? [error.code, error.reported] : ['failed', false]
  if (asJson && !reported) output.json({ error: code, message })
  output.note(`${output.styleNote('red', 'error:')} ${message.split('\n').map(inert).join('\n')}`)
  if (!(error instanceof CliError)) return exitCodes.failed
  if (error.next) output.note(error.next)
  return error.exitCode
}

// `hack projects | head -1` closes the pipe early; that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

await main(process.argv.slice(2))
