import { dirname } from 'node:path'
import type { Logger } from 'pino'
import { AuditLog } from './audit/audit-log.js'
import { Access } from './auth/access.js'
import { loadHomeKey } from './auth/home-key.js'
import { HostRules } from './auth/host-rules.js'
import { LastUsed } from './auth/last-used.js'
import { RequestBudget } from './auth/request-budget.js'
import { TokenStore } from './auth/token-store.js'
import { Verifier } from './auth/verifier.js'
import { LiveConfig } from './config.js'
import type { Home } from './home.js'
import { DockerRunner } from './jobs/runners/docker.js'
import { GenericRunner } from './jobs/runners/generic.js'
import { Supervisor } from './jobs/supervisor.js'
import { childEnvironment } from './processes/environment.js'
import { ProjectViews } from './projects/project-view.js'
import { ProjectRegistry } from './projects/registry.js'
import { isPresent } from './projects/repository-file.js'
import { ComposeViews } from './runtime/compose-views.js'
import { ContainerEnds } from './runtime/container-ends.js'
import { type Discovery, Runtime } from './runtime/runtime.js'
import { ServiceLogs } from './runtime/service-logs.js'
import { ShellHost } from './shells/shell-host.js'

/** The domain, built in order; `close` takes it down in reverse. */
export interface Services {
  home: Home
  config: LiveConfig
  log: Logger
  tokens: TokenStore
  lastUsed: LastUsed
  verifier: Verifier
  hosts: HostRules
  access: Access
  budget: RequestBudget
  audit: AuditLog
  projects: ProjectRegistry
  projectViews: ProjectViews
  runtime: Runtime
  composeViews: ComposeViews
  serviceLogs: ServiceLogs
  supervisor: Supervisor
  shells: ShellHost
  version: string
  startedAt: Date
  close(): Promise<void>
}

export interface ServicesOptions {
  home: Home
  log: Logger
  version: string
  /** hackd's own environment: what jobs and shells inherit comes from it. */
  environment: NodeJS.ProcessEnv
  /** This machine's name, by which it may be asked. */
  hostname: string
  /** Checks a secret against its hash; argon2, unless a test wants to count. */
  verify?: (hash: string, secret: string) => Promise<boolean>
}

/** Builds the domain on a prepared home. @throws ConfigError when the config does not parse */
export async function startServices(options: ServicesOptions): Promise<Services> {
  const { home, log, environment } = options
  const report = (problem: string) => log.warn(problem)
  const config = new LiveConfig(home.config, report)
  const tokens = new TokenStore(home.tokens, report)
  const lastUsed = new LastUsed(home.lastUsed, report)
  const verifier = new Verifier(await loadHomeKey(home.key), tokens, options.verify)
  const hosts = new HostRules(config, options.hostname)
  const projects = new ProjectRegistry(home, report)
  const access = new Access(config, tokens, projects)
  const audit = new AuditLog(home.audit, () => config.current.audit, report)
  const endpoint = { configured: config.current.runtime.dockerHost, environment }
  const inherited = childEnvironment(environment)
  const beside = new GenericRunner(environment.PATH)
  const inContainers = new DockerRunner({
    beside,
    ends: new ContainerEnds(endpoint),
    environment: inherited,
    dockerHost: endpoint.configured,
  })
  const supervisor = new Supervisor({
    root: home.jobs,
    config,
    projects,
    runners: [beside, inContainers],
    environment: inherited,
    report,
  })
  await supervisor.start()
  const shells = new ShellHost({
    environment,
    limits: () => ({ ...config.current.shells, graceMs: config.current.supervisor.cancelGraceMs }),
  })
  const runtime = new Runtime({
    endpoint,
    report: message => log.info(message),
    discovered: found => void registerFound(projects, found).catch(error => report((error as Error).message)),
  })
  const composeViews = new ComposeViews(runtime, projects)
  return {
    home,
    config,
    log,
    tokens,
    lastUsed,
    verifier,
    hosts,
    access,
    budget: new RequestBudget(config),
    audit,
    projects,
    projectViews: new ProjectViews({ registry: projects, homeRoot: home.root, runtime: composeViews }),
    runtime,
    composeViews,
    serviceLogs: new ServiceLogs(runtime, composeViews),
    supervisor,
    shells,
    version: options.version,
    startedAt: new Date(),
    async close() {
      runtime.close()
      await shells.close()
      await supervisor.close()
      await audit.close()
      projects.close()
      hosts.close()
      verifier.close()
      await lastUsed.close()
      tokens.close()
      config.close()
    },
  }
}

/** What runs from `<repo>/.hack` becomes known, and nothing more: only its owner enables it. */
async function registerFound(projects: ProjectRegistry, { projectDir }: Discovery): Promise<void> {
  const repoRoot = dirname(projectDir)
  // An engine elsewhere names folders of another machine.
  if (isPresent(repoRoot)) await projects.register(repoRoot)
}
