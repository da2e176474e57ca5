import type { ContainerInfo } from 'dockerode'
import type { PsItem, RuntimeContainer, RuntimeProject } from '../../schemas/runtime.js'
import { containerName, portsText } from './container-text.js'

/** The labels that Compose puts on its containers. */
export const composeLabels = {
  project: 'com.docker.compose.project',
  service: 'com.docker.compose.service',
  oneOff: 'com.docker.compose.oneoff',
  workingDir: 'com.docker.compose.project.working_dir',
} as const

export interface BranchRuntime {
  branch: string
  runtime: RuntimeProject
}

/** What ran at one moment, ready to be answered with: it is built once a refresh, not once a request. */
export interface Snapshot {
  /** Milliseconds since the epoch. */
  takenAt: number
  /** By Compose project name. */
  projects: ReadonlyMap<string, RuntimeProject>
  /** The Compose projects `<name>--<branch>`, by name. */
  branches: ReadonlyMap<string, readonly BranchRuntime[]>
}

const byName = new Intl.Collator('en', { numeric: true }).compare

/** Builds a snapshot of a list of containers; those without a Compose project and one-off ones are left out. */
export function takeSnapshot(containers: readonly ContainerInfo[], takenAt: number): Snapshot {
  const projects = new Map<string, RuntimeProject>()
  const rows = containers.map(row).filter(found => found !== undefined)
  rows.sort((a, b) => byName(a.project, b.project) || byName(a.service, b.service) || byName(a.view.name, b.view.name))
  for (const { project, service, view } of rows) {
    const entry = projects.get(project) ?? { project, working_dir: null, services: [] }
    projects.set(project, entry)
    entry.working_dir ??= view.working_dir
    const last = entry.services.at(-1)
    if (last?.service === service) last.containers.push(view)
    else entry.services.push({ service, containers: [view] })
  }
  return { takenAt, projects, branches: findBranches(projects) }
}

function row(info: ContainerInfo): { project: string; service: string; view: RuntimeContainer } | undefined {
  const labels = info.Labels ?? {}
  const project = labels[composeLabels.project]
  if (!project || labels[composeLabels.oneOff]?.toLowerCase() === 'true') return undefined
  const view = {
    id: info.Id,
    state: info.State,
    status: info.Status,
    name: containerName(info.Names ?? []),
    ports: portsText(info.Ports),
    working_dir: labels[composeLabels.workingDir] ?? null,
  }
  return { project, service: labels[composeLabels.service] ?? '', view }
}

/** A name may itself hold `--`, so each place where it could be cut counts. */
function findBranches(projects: Map<string, RuntimeProject>): Map<string, BranchRuntime[]> {
  const branches = new Map<string, BranchRuntime[]>()
  for (const runtime of projects.values()) {
    for (let cut = runtime.project.indexOf('--', 1); cut > 0; cut = runtime.project.indexOf('--', cut + 1)) {
      const branch = runtime.project.slice(cut + 2)
      if (branch === '') break
      const name = runtime.project.slice(0, cut)
      branches.set(name, [...(branches.get(name) ?? []), { branch, runtime }])
    }
  }
  return branches
}

/** The rows of `docker compose ps -a`. */
export function psItems(project: RuntimeProject | undefined): PsItem[] {
  return (project?.services ?? []).flatMap(({ service, containers }) =>
    containers.map(({ name, status, ports }) => ({ Service: service, Name: name, Status: status, Ports: ports })),
  )
}

export function isRunning(project: RuntimeProject): boolean {
  return project.services.some(({ containers }) => containers.some(({ state }) => state === 'running'))
}
