import { realpathSync } from 'node:fs'
import { sep } from 'node:path'
import type { ProjectList, ProjectsQuery, ProjectView } from '../../schemas/projects.js'
import type { RuntimeProject } from '../../schemas/runtime.js'
import { isServed, type Project, type ProjectRegistry } from './registry.js'

/** What runs of a project: its own Compose project, and those of its branches. */
export interface ProjectRuntime {
  runtime: RuntimeProject | null
  branches: { branch: string; runtime: RuntimeProject }[]
  /** False while there is an engine that does not say what runs. */
  known: boolean
}

export interface RuntimeSource {
  /** How long ago the engine was last heard; null when never. */
  ageMs(): number | null
  runtimeOf(project: Project): ProjectRuntime
  /** The Compose projects that no registered project owns. */
  unowned(): RuntimeProject[]
}

/** Who asks: a token may be confined to some projects, the local user sees all. */
export type Viewer = { kind: 'token'; projects?: string[] | undefined } | { kind: 'local' }

export function maySee(viewer: Viewer, projectId: string): boolean {
  return confinement(viewer)?.includes(projectId) ?? true
}

/** The projects that the viewer is confined to, if any. */
function confinement(viewer: Viewer): string[] | undefined {
  return viewer.kind === 'token' ? viewer.projects : undefined
}

const nothingRuns: ProjectRuntime = { runtime: null, branches: [], known: true }

export function viewProject(project: Project, running: ProjectRuntime = nothingRuns): ProjectView {
  return {
    project_id: project.id,
    name: project.name,
    dev_host: project.present ? project.config.devHost : (project.devHost ?? null),
    repo_root: project.repoRoot,
    project_dir: project.projectDir,
    defined_services: project.definedServices,
    runtime: running.runtime,
    branch_runtime: running.branches,
    kind: 'registered',
    status: statusOf(project, running),
  }
}

/** What runs on this machine without being registered. */
function viewUnregistered(runtime: RuntimeProject): ProjectView {
  return {
    project_id: null,
    name: runtime.project,
    dev_host: null,
    repo_root: null,
    project_dir: runtime.working_dir,
    defined_services: null,
    runtime,
    branch_runtime: [],
    kind: 'unregistered',
    status: 'unregistered',
  }
}

function statusOf(project: Project, { runtime, known }: ProjectRuntime): ProjectView['status'] {
  if (!project.present || !known) return 'missing'
  const containers = runtime?.services.flatMap(service => service.containers) ?? []
  return containers.some(container => container.state === 'running') ? 'running' : 'stopped'
}

export interface ProjectViewsOptions {
  registry: ProjectRegistry
  /** The home's folder: projects below it are infrastructure of hackd itself, hidden unless asked for. */
  homeRoot: string
  runtime?: RuntimeSource
}

/** The projects as clients see them. Answers from memory. */
export class ProjectViews {
  readonly #options: ProjectViewsOptions
  /** The home as it was given, which is how Compose may name it, and as it is. */
  readonly #homes: string[]

  constructor(options: ProjectViewsOptions) {
    this.#options = options
    this.#homes = [options.homeRoot, resolved(options.homeRoot)].map(path => `${path}${sep}`)
  }

  /**
   * Enabled projects inside the viewer's own, one whose folder is gone included: it is listed as missing. With
   * `include_global` also what runs from below the home, registered or not, as long as the viewer is not confined.
   */
  list(query: ProjectsQuery, viewer: Viewer): ProjectList {
    const { registry, runtime } = this.#options
    const projects = registry.list().filter(project => {
      if (!isServed(project) && !(project.enabledAt !== undefined && !project.present)) return false
      if (!query.include_global && this.#isGlobal(project.projectDir)) return false
      return maySee(viewer, project.id) && (query.filter === undefined || query.filter === project.name)
    })
    return {
      generated_at: new Date().toISOString(),
      filter: query.filter ?? null,
      include_global: query.include_global,
      include_unregistered: false,
      ...(runtime && { cache_age_ms: runtime.ageMs() }),
      projects: [
        ...projects.map(project => viewProject(project, runtime?.runtimeOf(project))),
        ...(query.include_global && !confinement(viewer) ? this.#global(query).map(viewUnregistered) : []),
      ],
    }
  }

  #global({ filter }: ProjectsQuery): RuntimeProject[] {
    const unowned = this.#options.runtime?.unowned() ?? []
    return unowned.filter(
      ({ project, working_dir }) =>
        working_dir !== null && this.#isGlobal(working_dir) && (filter === undefined || filter === project),
    )
  }

  #isGlobal(path: string): boolean {
    return this.#homes.some(home => path.startsWith(home))
  }
}

/** Registered folders are real paths, so the home has to be one as well. */
function resolved(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
