import type { PsQuery, PsReply, RuntimeContainer, RuntimeProject, ServiceLogQuery } from '../../schemas/runtime.js'
import { GatewayError } from '../errors.js'
import { ownerOf } from './ownership.js'
import type { Runtime } from './runtime.js'
import type { BranchRuntime } from './snapshot.js'

/** What has to be known of the registered projects. Two may bear one name. */
export interface ProjectDirectory {
  list(): { id: string; name: string }[]
  get(id: string): { id: string; name: string } | undefined
}

/** Which Compose projects belong to which registered project, and what of them may be seen. */
export class ComposeViews {
  readonly #runtime: Runtime
  readonly #projects: ProjectDirectory

  constructor(runtime: Runtime, projects: ProjectDirectory) {
    this.#runtime = runtime
    this.#projects = projects
  }

  ageMs(): number | null {
    return this.#runtime.ageMs()
  }

  runtimeOf({ name }: { name: string }): {
    runtime: RuntimeProject | null
    branches: BranchRuntime[]
    known: boolean
  } {
    const branches = this.#runtime
      .branches(name)
      .filter(({ runtime }) => ownerOf(runtime.project, this.#projects.list())?.name === name)
    return { runtime: this.#runtime.project(name), branches, known: this.#runtime.isKnown }
  }

  unowned(): RuntimeProject[] {
    const projects = this.#projects.list()
    return [...this.#runtime.projects()].filter(({ project }) => !ownerOf(project, projects))
  }

  /** @throws GatewayError `project_disabled`, `runtime_unavailable` */
  ps(query: PsQuery, canSee: (projectId: string) => boolean): PsReply {
    const projects = this.#projects.list()
    const owner = ownerOf(query.compose_project, projects)
    if (!projects.some(({ id, name }) => name === owner?.name && canSee(id)))
      throw new GatewayError('project_disabled', 'No enabled project owns this Compose project.')
    return this.#runtime.ps(query)
  }

  /** The containers of a service. @throws GatewayError `runtime_unavailable`, `not_found` */
  containers(projectId: string, service: string, { branch }: Pick<ServiceLogQuery, 'branch'>): RuntimeContainer[] {
    const name = this.#projects.get(projectId)?.name ?? ''
    if (!this.#runtime.engine) throw new GatewayError('runtime_unavailable')
    const project =
      branch === undefined
        ? this.#runtime.project(name)
        : this.runtimeOf({ name }).branches.find(found => found.branch === branch)?.runtime
    const found = project?.services.find(candidate => candidate.service === service)
    if (!found) throw new GatewayError('not_found', 'This project has no container of such a service.')
    return found.containers
  }
}
