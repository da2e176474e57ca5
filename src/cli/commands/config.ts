import { type Configure, examples, usageError } from '../cli.js'
import { readSettings, setSettings } from '../settings.js'
import { inert } from '../ui/inert.js'

const onlyGlobal = () =>
  usageError(
    'Settings belong to the machine: add --global.',
    "A project's own switch is: hack gateway enable, hack gateway disable",
  )

export const config: Configure = (command, cli) => {
  const get = command
    .command('get [key]')
    .description('print a setting, or all of them, defaults included')
    .option('--global', 'the settings of this machine')
    .option('--json', 'print as JSON')
    .action((key: string | undefined, options: { global?: boolean; json?: boolean }) => {
      if (!options.global) throw onlyGlobal()
      const { settings, warnings } = readSettings(cli.home, key)
      for (const warning of warnings) cli.output.note(`warning: ${inert(warning)}`)
      const [first] = settings
      if (options.json)
        return cli.output.json(
          key && first ? first.value : Object.fromEntries(settings.map(row => [row.key, row.value])),
        )
      if (key && first) return cli.output.line(show(first.value))
      for (const row of settings) cli.output.line(`${row.key} = ${show(row.value)}`)
    })
  examples(get, [
    ['hack config get --global', 'all settings'],
    ['hack config get --global controlPlane.gateway.port', 'one of them'],
  ])
  const set = command
    .command('set <key> <value> [more...]')
    .description('change settings: all of them, or on any mistake none')
    .option('--global', 'the settings of this machine')
    .option('--json', 'print what was set as JSON')
    .action(async (key: string, value: string, more: string[], options: { global?: boolean; json?: boolean }) => {
      if (!options.global) throw onlyGlobal()
      const { settings, warnings, restart } = await setSettings(cli.home, [key, value, ...more])
      for (const warning of warnings) cli.output.note(`warning: ${inert(warning)}`)
      if (options.json)
        return cli.output.json({ set: Object.fromEntries(settings.map(row => [row.key, row.value])), restart })
      for (const row of settings) cli.output.line(`${row.key} = ${show(row.value)}`)
      if (restart) cli.output.note('This takes effect when hackd starts again: hack daemon stop && hack daemon start')
    })
  examples(set, [
    ['hack config set --global controlPlane.gateway.allowWrites true', 'let write tokens run commands'],
    [
      'hack config set --global controlPlane.gateway.hosts gw.example.com',
      'serve one more Host; commas separate several',
    ],
    ['hack config set --global controlPlane.gateway.port 7799', 'listen elsewhere'],
  ])
  examples(command, [['hack config get --global', 'all settings']])
}

function show(value: unknown): string {
  return inert(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))
}
