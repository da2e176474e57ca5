// A smoke test of the hackd that runs on this home, over TCP, as a client from elsewhere would see it. It makes tokens
// of its own, confined to one project and short-lived, and revokes them in the end.
import type { CreatedToken } from '../schemas/auth.js'
import { createToken, revokeToken } from '../src/auth/token-file.js'
import { askDaemon } from '../src/cli/daemon-process.js'
import { findProjectRoot } from '../src/cli/project-root.js'
import { loadConfig } from '../src/config.js'
import { type Home, locateHome } from '../src/home.js'
import { readProjects } from '../src/projects/project-file.js'
import { type Check, readChecks, revocationCheck, type Target, writeChecks } from './smoke/checks.js'

const tokenMinutes = 10

async function main(): Promise<boolean> {
  const home = locateHome(undefined, process.env)
  const writes = process.env.HACK_GATEWAY_E2E_WRITE !== '0'
  const where = await findTarget(home, process.env.HACK_GATEWAY_E2E_CWD ?? process.cwd())
  if (writes && !loadConfig(home.config).config.gateway.allowWrites)
    throw new Error(
      'writes are off: hack config set --global controlPlane.gateway.allowWrites true, or HACK_GATEWAY_E2E_WRITE=0',
    )
  process.stdout.write(`${where.url}, project ${where.projectId}\n`)
  const tokens: CreatedToken[] = []
  const makeToken = async (scope: 'read' | 'write') => {
    const expiresAt = new Date(Date.now() + tokenMinutes * 60_000)
    const created = await createToken(home, { scope, label: 'smoke test', projects: [where.projectId], expiresAt })
    tokens.push(created)
    return created.token
  }
  try {
    const read: Target = { ...where, token: await makeToken('read') }
    const checks = readChecks(read)
    if (writes) checks.push(...writeChecks({ ...where, token: await makeToken('write') }))
    checks.push(revocationCheck(read, () => revokeToken(home, tokens[0]?.id ?? '')))
    return await runAll(checks)
  } finally {
    for (const { id } of tokens) await revokeToken(home, id)
  }
}

async function findTarget(home: Home, cwd: string): Promise<Omit<Target, 'token'>> {
  const daemon = await askDaemon(home)
  if (!daemon) throw new Error('hackd does not run on this home: hack daemon start')
  const { folder } = findProjectRoot(cwd, home)
  const project = (await readProjects(home)).find(({ repoRoot }) => repoRoot === folder)
  if (project?.enabledAt === undefined || !daemon.url)
    throw new Error(`${folder} is not enabled: run hack gateway enable there, or set HACK_GATEWAY_E2E_CWD`)
  return { url: daemon.url, projectId: project.id }
}

/** Each check is told about as it ends; one that fails stops no other. */
async function runAll(checks: Check[]): Promise<boolean> {
  let failures = 0
  for (const { name, run } of checks) {
    try {
      await run()
      process.stdout.write(`  ok    ${name}\n`)
    } catch (error) {
      failures++
      process.stdout.write(`  FAIL  ${name}\n        ${(error as Error).message.replaceAll('\n', '\n        ')}\n`)
    }
  }
  process.stdout.write(`${checks.length - failures} of ${checks.length} checks passed\n`)
  return failures === 0
}

try {
  process.exitCode = (await main()) ? 0 : 1
} catch (error) {
  process.stderr.write(`smoke test: ${(error as Error).message}\n`)
  process.exitCode = 1
}
