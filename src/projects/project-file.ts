import { createHash } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { ProjectFile, type ProjectRecord } from '../../schemas/projects.js'
import { type Home, prepareHome } from '../home.js'
import { readJson, updateJson } from '../storage/atomic-file.js'
import { defaultName, readProjectConfig } from './project-config.js'
import { projectDirName } from './repository-file.js'

/** A registry is written by hand, one project at a time: more than this is a mistake or an attack. */
const maxProjects = 1000

export function projectId(name: string, projectDir: string): string {
  return createHash('sha1').update(`${name}\n${projectDir}`).digest('hex').slice(0, 12)
}

/** The rows of projects.json. @throws DamagedFile */
export async function readProjects(home: Home): Promise<ProjectRecord[]> {
  return (await readJson(home.projects, ProjectFile))?.projects ?? []
}

/**
 * Adds the folder to projects.json, or refreshes its record: a folder keeps its id and name for good, since jobs and
 * tokens refer to them. The name is that of the project's own config, else the folder's.
 */
export async function registerProject(home: Home, folder: string): Promise<ProjectRecord> {
  const repoRoot = realpathSync(folder)
  const projectDir = join(repoRoot, projectDirName)
  const { config } = readProjectConfig(repoRoot)
  const now = new Date().toISOString()
  prepareHome(home)
  const { projects } = await updateJson(home.projects, ProjectFile, { version: 1, projects: [] }, file => {
    const name = config?.name ?? defaultName(repoRoot)
    const known = file.projects.find(project => project.projectDir === projectDir)
    const { devHost: _, ...record } = known ?? {
      id: projectId(name, projectDir),
      name,
      repoRoot,
      projectDirName,
      projectDir,
      createdAt: now,
      lastSeenAt: now,
    }
    const seen = { ...record, lastSeenAt: now, ...(config?.devHost ? { devHost: config.devHost } : {}) }
    const others = file.projects.filter(project => project !== known)
    if (others.length >= maxProjects) throw new Error(`${home.projects} already holds ${maxProjects} projects`)
    return { ...file, projects: known ? file.projects.map(row => (row === known ? seen : row)) : [...others, seen] }
  })
  const record = projects.find(project => project.projectDir === projectDir)
  if (!record) throw new Error(`${projectDir} was not registered`)
  return record
}

/**
 * Writes the owner's half of the opt-in. Enabling what is enabled keeps its first time.
 * @returns the record, or undefined when there is no such project
 */
export async function setEnabled(home: Home, id: string, enabled: boolean): Promise<ProjectRecord | undefined> {
  prepareHome(home)
  const { projects } = await updateJson(home.projects, ProjectFile, { version: 1, projects: [] }, file => ({
    ...file,
    projects: file.projects.map(project => {
      if (project.id !== id || (project.enabledAt !== undefined) === enabled) return project
      const { enabledAt: _, ...rest } = project
      return enabled ? { ...rest, enabledAt: new Date().toISOString() } : rest
    }),
  }))
  return projects.find(project => project.id === id)
}
