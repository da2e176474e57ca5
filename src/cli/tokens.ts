import { type CreatedToken, Scope, type TokenRecord } from '../../schemas/auth.js'
import { readLastUsed } from '../auth/last-used.js'
import { createToken, listTokens, revokeToken, rotateToken } from '../auth/token-file.js'
import { loadConfig } from '../config.js'
import { type Home, prepareHome } from '../home.js'
import { readProjects } from '../projects/project-file.js'
import { type Cli, CliError, usageError } from './cli.js'
import { parseExpiry } from './duration.js'
import { inert } from './ui/inert.js'
import { formatTable } from './ui/table.js'

interface JsonOption {
  json?: boolean
}
interface CreateOptions extends JsonOption {
  scope: string
  label?: string
  expires?: string
  project: string[]
}

export async function createOne(options: CreateOptions, cli: Cli): Promise<void> {
  const scope = Scope.anyOf.map(({ const: name }) => name).find(name => name === options.scope)
  if (!scope) throw usageError(`${JSON.stringify(options.scope)} is no scope.`, 'Say --scope read or --scope write.')
  const expiresAt = options.expires === undefined ? undefined : parseExpiry(options.expires)
  await requireProjects(cli.home, options.project)
  prepareHome(cli.home)
  const created = await createToken(cli.home, {
    scope,
    ...(options.label === undefined ? {} : { label: options.label }),
    ...(options.project.length === 0 ? {} : { projects: [...new Set(options.project)] }),
    ...(expiresAt ? { expiresAt } : {}),
  })
  showSecret(created, options, cli)
  if (scope === 'write' && !writesAllowed(cli.home))
    cli.output.note(
      'Writes are off on this machine. Turn them on with: hack config set --global controlPlane.gateway.allowWrites true',
    )
}

/** A mistyped project would make a token that opens nothing. */
async function requireProjects(home: Home, ids: string[]): Promise<void> {
  const known = new Set((await readProjects(home)).map(project => project.id))
  const unknown = ids.filter(id => !known.has(id))
  if (unknown.length > 0)
    throw usageError(`There is no project ${unknown.map(inert).join(', ')}.`, 'See: hack projects')
}

function writesAllowed(home: Home): boolean {
  try {
    return loadConfig(home.config).config.gateway.allowWrites
  } catch {
    // A config that does not parse has its own commands to say so.
    return true
  }
}

/** The secret alone goes to stdout, so that a script can take it from there. */
function showSecret(created: CreatedToken, options: JsonOption, { output }: Cli): void {
  if (options.json) {
    output.json(created)
    return
  }
  output.line(created.token)
  const until = created.expiresAt === undefined ? 'never expires' : `expires ${created.expiresAt}`
  output.note(`Token ${created.id}, scope ${created.scope}, ${until}. Keep it: it is not shown again.`)
}

export async function listAll(options: JsonOption, { home, output }: Cli): Promise<void> {
  const uses = await readLastUsed(home.lastUsed)
  const tokens = (await listTokens(home)).map(({ hash: _, ...token }) => ({
    ...token,
    state: stateOf(token),
    ...(uses[token.id] === undefined ? {} : { lastUsedAt: uses[token.id] }),
  }))
  if (options.json) return output.json({ tokens })
  if (tokens.length === 0) return output.note('There are no tokens. Create one with: hack x gateway token-create')
  const rows = tokens.map(token => [
    token.id,
    token.scope,
    token.state,
    token.createdAt.slice(0, 10),
    token.expiresAt?.slice(0, 10) ?? '-',
    token.lastUsedAt?.slice(0, 16).replace('T', ' ') ?? '-',
    token.projects?.map(inert).join(' ') ?? 'all',
    inert(token.label ?? ''),
  ])
  const table = formatTable(['ID', 'SCOPE', 'STATE', 'CREATED', 'EXPIRES', 'LAST USED', 'PROJECTS', 'LABEL'], rows)
  table.forEach((line, index) => {
    output.line(index === 0 ? output.style('dim', line) : line)
  })
}

function stateOf({ revokedAt, expiresAt }: Omit<TokenRecord, 'hash'>): 'live' | 'revoked' | 'expired' {
  if (revokedAt !== undefined) return 'revoked'
  return expiresAt !== undefined && Date.parse(expiresAt) <= Date.now() ? 'expired' : 'live'
}

export async function revokeOne(id: string, options: JsonOption, { home, output }: Cli): Promise<void> {
  prepareHome(home)
  const record = await revokeToken(home, id)
  if (!record) throw unknownToken(id)
  const { hash: _, ...shown } = record
  if (options.json) output.json(shown)
  else output.line(`Token ${record.id} is revoked.`)
}

export async function rotateOne(id: string, options: JsonOption, cli: Cli): Promise<void> {
  prepareHome(cli.home)
  const created = await rotateToken(cli.home, id)
  if (!created) throw unknownToken(id)
  showSecret(created, options, cli)
}

function unknownToken(id: string): CliError {
  return new CliError('unknown_token', `There is no live token ${inert(id)}.`, {
    next: 'See: hack x gateway token-list',
  })
}
