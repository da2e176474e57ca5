import type { Logger } from 'pino'
import type { AuditLog } from './audit/audit-log.js'
import type { Access, ProjectDirectory } from './auth/access.js'
import type { HostRules } from './auth/host-rules.js'
import type { LastUsed } from './auth/last-used.js'
import type { TokenStore } from './auth/token-store.js'
import type { Verifier } from './auth/verifier.js'
import type { LiveConfig } from './config.js'
import type { Home } from './home.js'

/** The domain, built in order. */
export interface Services {
  home: Home
  config: LiveConfig
  log: Logger
  tokens: TokenStore
  lastUsed: LastUsed
  verifier: Verifier
  hosts: HostRules
  access: Access
  audit: AuditLog
  projects: ProjectDirectory
  version: string
  startedAt: Date
}
