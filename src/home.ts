import { lstatSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { makePrivateFolder } from './storage/private-file.js'

/** Where everything machine-wide lives. Two homes are two independent installations. */
export interface Home {
  root: string
  config: string
  projects: string
  daemon: string
  pidFile: string
  socket: string
  log: string
  gateway: string
  tokens: string
  lastUsed: string
  key: string
  audit: string
  jobs: string
}

export function homeAt(root: string): Home {
  const home = resolve(root)
  const daemon = join(home, 'daemon')
  const gateway = join(daemon, 'gateway')
  return {
    root: home,
    config: join(home, 'hack.config.json'),
    projects: join(home, 'projects.json'),
    daemon,
    pidFile: join(daemon, 'hackd.pid'),
    socket: join(daemon, 'hackd.sock'),
    log: join(daemon, 'hackd.log'),
    gateway,
    tokens: join(gateway, 'tokens.json'),
    lastUsed: join(gateway, 'last-used.json'),
    key: join(gateway, 'key'),
    audit: join(gateway, 'audit.jsonl'),
    jobs: join(daemon, 'jobs'),
  }
}

/** `--home`, else `HACK_HOME`, else `~/.hack`. An empty one counts as not given: it would mean the current folder. */
export function locateHome(flag: string | undefined, environment: NodeJS.ProcessEnv): Home {
  return homeAt(flag || environment.HACK_HOME || join(homedir(), '.hack'))
}

/** Creates the folders that are missing. */
export function prepareHome(home: Home): void {
  for (const folder of [home.root, home.daemon, home.gateway, home.jobs]) makePrivateFolder(folder)
}

/**
 * What others on this machine could read or change, each with the command that mends it. Folders of single jobs are
 * covered by the folder above them. The home itself may be readable, as long as nobody else can rename what is in it.
 */
export function findLoosePermissions(home: Home): string[] {
  const problems = new Set<string>()
  const check = (path: string, forbidden: number, mend: string) => {
    const stat = lstatSync(path, { throwIfNoEntry: false })
    if (!stat || stat.isSymbolicLink() || stat.isSocket()) return
    if (stat.mode & forbidden)
      problems.add(
        `${path} has mode ${(stat.mode & 0o777).toString(8)}; run: chmod ${mend} '${path.replaceAll("'", `'\\''`)}'`,
      )
  }
  check(home.root, 0o022, '700')
  for (const path of [home.config, home.projects]) check(path, 0o077, '600')
  for (const folder of [home.daemon, home.gateway, home.jobs]) {
    check(folder, 0o077, '700')
    for (const entry of listFolder(folder)) check(join(folder, entry.name), 0o077, entry.isDirectory() ? '700' : '600')
  }
  return [...problems]
}

function listFolder(path: string) {
  try {
    return readdirSync(path, { withFileTypes: true })
  } catch {
    return []
  }
}
