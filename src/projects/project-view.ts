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
}

/** Who asks: a token may be confined to some projects, the local user sees all. */
export type Viewer = { kind: 'token'; projects?: string[] | undefined } | { kind: 'local' }

export function maySee(viewer: Viewer, projectId: string): boolean {
  return viewer.kind === 'local' || viewer.projects === undefined || viewer.projects.includes(projectId)
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
  readonly #belowHome: string

  constructor(options: ProjectViewsOptions) {
    this.#options = options
    this.#belowHome = `${resolved(options.homeRoot)}${sep}`
  }

  /** Enabled projects inside the viewer's own, one whose folder is gone included: it is listed as missing. */
  list(query: ProjectsQuery, viewer: Viewer): ProjectList {
    const { registry, runtime } = this.#options
    const projects = registry.list().filter(project => {
      if (!isServed(project) && !(project.enabledAt !== undefined && !project.present)) return false
      if (!query.include_global && project.projectDir.startsWith(this.#belowHome)) return false
      return maySee(viewer, project.id) && (query.filter === undefined || query.filter === project.name)
    })
    return {
      generated_at: new Date().toISOString(),
      filter: query.filter ?? null,
      include_global: query.include_global,
      include_unregistered: false,
      ...(runtime && { cache_age_ms: runtime.ageMs() }),
      projects: projects.map(project => viewProject(project, runtime?.runtimeOf(project))),
    }
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
