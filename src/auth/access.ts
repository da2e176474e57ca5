import type { LiveConfig } from '../config.js'
import { GatewayError } from '../errors.js'
import type { Actor } from './actor.js'
import type { TokenStore } from './token-store.js'

/** What access has to know about projects. */
export interface ProjectDirectory {
  /** Registered and enabled. */
  isServed(projectId: string): boolean
}

/** Why a live stream has to end: the close code and reason of its WebSocket. */
export interface StreamRefusal {
  code: 4401 | 4403
  reason: string
}

/** Who may do what, by the state of this moment: config, tokens and projects are asked every time. */
export class Access {
  readonly #config: LiveConfig
  readonly #tokens: TokenStore
  readonly #projects: ProjectDirectory

  constructor(config: LiveConfig, tokens: TokenStore, projects: ProjectDirectory) {
    this.#config = config
    this.#tokens = tokens
    this.#projects = projects
  }

  /** True when the project is served, and not outside the token's `projects`. */
  canSee(actor: Actor, projectId: string): boolean {
    const confinedTo = actor.kind === 'token' ? actor.projects : undefined
    return this.#projects.isServed(projectId) && (confinedTo?.includes(projectId) ?? true)
  }

  /** @throws GatewayError `project_disabled` */
  requireProject(actor: Actor, projectId: string): void {
    if (!this.canSee(actor, projectId)) throw new GatewayError('project_disabled')
  }

  /** @throws GatewayError `writes_disabled`, `write_scope_required` */
  requireWrite(actor: Actor): void {
    if (actor.kind === 'local') return
    if (!this.#config.current.gateway.allowWrites) throw new GatewayError('writes_disabled')
    if (actor.scope !== 'write') throw new GatewayError('write_scope_required')
  }

  /** Why a stream that was once allowed may not go on, or undefined while it may. */
  streamRefusal(actor: Actor, stream: { projectId: string; write: boolean }): StreamRefusal | undefined {
    let now = actor
    if (actor.kind === 'token') {
      const record = this.#tokens.usable(actor.tokenId)
      if (!record) return { code: 4401, reason: 'invalid_token' }
      now = {
        kind: 'token',
        tokenId: record.id,
        scope: record.scope,
        ...(record.projects && { projects: record.projects }),
      }
    }
    try {
      this.requireProject(now, stream.projectId)
      if (stream.write) this.requireWrite(now)
      return undefined
    } catch (error) {
      return { code: 4403, reason: (error as GatewayError).code }
    }
  }
}
