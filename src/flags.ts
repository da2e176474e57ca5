import { parseArgs } from 'node:util'

export interface Flags {
  home: string | undefined
  bind: string | undefined
  port: number | undefined
  logLevel: string
  help: boolean
  version: boolean
}

/** Every problem of the command line at once. */
export class FlagError extends Error {
  readonly problems: string[]
  constructor(problems: string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']

export const helpText = `hackd: the gateway daemon, in the foreground

Usage: hackd [options]

  --home DIR       the home of this installation (else HACK_HOME, else ~/.hack)
  --bind ADDR      the address to listen on (else controlPlane.gateway.bind, 127.0.0.1)
  --port N         the port; 0 takes a free one (else controlPlane.gateway.port, 7788)
  --log-level L    ${levels.join(', ')} (info)
  --version        print the version
  --help           print this

Logs go to stderr. When it is ready, hackd prints one line on stdout.

Examples:
  hackd
  hackd --home /tmp/try --port 0 --log-level debug
`

/** @throws FlagError */
export function parseFlags(argv: string[]): Flags {
  const known = ['home', 'bind', 'port', 'log-level']
  const { values, tokens } = parseArgs({
    args: argv,
    strict: false,
    tokens: true,
    options: {
      ...Object.fromEntries(known.map(name => [name, { type: 'string' as const }])),
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean', short: 'v' },
    },
  })
  const problems = tokens.flatMap(token => {
    if (token.kind === 'positional') return [`"${token.value}" is not expected`]
    if (token.kind !== 'option' || ['help', 'version'].includes(token.name)) return []
    if (!known.includes(token.name)) return [`there is no option ${token.rawName}`]
    return token.value === undefined || token.value === '' ? [`${token.rawName} needs a value`] : []
  })
  const text = (name: string) => (typeof values[name] === 'string' ? values[name] : undefined)
  const port = text('port')
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) <= 65535))
    problems.push(`--port must be a number from 0 to 65535, and is "${port}"`)
  const logLevel = text('log-level') ?? 'info'
  if (!levels.includes(logLevel)) problems.push(`--log-level must be one of ${levels.join(', ')}, and is "${logLevel}"`)
  if (problems.length > 0) throw new FlagError(problems)
  return {
    home: text('home'),
    bind: text('bind'),
    port: port === undefined ? undefined : Number(port),
    logLevel,
    help: values.help === true,
    version: values.version === true,
  }
}
