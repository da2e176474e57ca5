import type { Command } from 'commander'
import { type Home, locateHome } from '../home.js'
import type { Output } from './ui/output.js'

/** What every command is given: where it runs, and how it speaks. */
export interface Cli {
  home: Home
  cwd: string
  environment: NodeJS.ProcessEnv
  output: Output
}

/** Adds one command's, or group's, options and actions to it. `cli` is complete once an action runs. */
export type Configure = (command: Command, cli: Cli) => void

export const exitCodes = { failed: 1, usage: 2, notRunning: 3 } as const

/** A failure that the user can do something about: what happened, and what to do next. */
export class CliError extends Error {
  readonly code: string
  readonly next: string | undefined
  readonly exitCode: number
  /** True when stdout holds the JSON document of this failure already. */
  readonly reported: boolean

  constructor(code: string, message: string, options: { next?: string; exitCode?: number; reported?: boolean } = {}) {
    super(message)
    this.code = code
    this.next = options.next
    this.exitCode = options.exitCode ?? exitCodes.failed
    this.reported = options.reported ?? false
  }
}

export function usageError(message: string, next?: string): CliError {
  return new CliError('usage', message, { exitCode: exitCodes.usage, ...(next === undefined ? {} : { next }) })
}

/** The examples at the end of a command's help, a line each: what to type, and what for. */
export function examples(command: Command, lines: [typed: string, meaning: string][]): Command {
  const width = Math.max(...lines.map(([typed]) => typed.length))
  const text = lines.map(([typed, meaning]) => `  $ ${typed.padEnd(width)}  ${meaning}`).join('\n')
  return command.addHelpText('after', `\nExamples:\n${text}`)
}

/** A command that is loaded when it is used, so that `hack --help` stays quick. */
export interface LazyCommand {
  name: string
  summary: string
  load: () => Promise<Configure>
}

export function addLazily(parent: Command, cli: Cli, commands: LazyCommand[]): void {
  // The implicit one would show the help of a command that is not loaded.
  parent.helpCommand(false)
  for (const { name, summary } of commands) parent.command(name).description(summary)
  parent.hook('preSubcommand', async (_parent, command) => {
    const configure = await commands.find(({ name }) => name === command.name())?.load()
    configure?.(command, cli)
  })
}

/** A context whose home follows the --home that the program parses. */
export function createCli(program: Command, environment: NodeJS.ProcessEnv, cwd: string, output: Output): Cli {
  return {
    get home() {
      return locateHome(program.opts<{ home?: string }>().home, environment)
    },
    cwd,
    environment,
    output,
  }
}
