import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ProjectFile, type ProjectRecord } from '../../schemas/projects.js'
import { systemCode } from '../errors.js'
import type { Home } from '../home.js'
import { parseJson } from '../storage/atomic-file.js'
import { WatchedFile } from '../storage/watched-file.js'
import {
  composeName,
  configName,
  emptyConfig,
  type ProjectConfig,
  readDefinedServices,
  readProjectConfig,
} from './project-config.js'
import { registerProject, setEnabled } from './project-file.js'
import { isPresent } from './repository-file.js'

/** A registered project and what its own folder said when it last changed. */
export interface Project extends ProjectRecord {
  config: ProjectConfig
  definedServices: string[] | null
  /** False when the repository or its .hack folder is gone. */
  present: boolean
}

/** A project is served when its owner said so in the registry and the repository says so in its own config. */
export function isServed(project: Project): boolean {
  return project.enabledAt !== undefined && project.config.enabled
}

interface Entry {
  project: Project
  watched: WatchedFile | undefined
  /** The last warnings, so that each is reported once and not at every change. */
  warned: string
}

/**
 * The registered projects, following projects.json and the folders of the enabled ones. Every answer comes from
 * memory. A projects.json that is damaged keeps the last good one in force.
 */
export class ProjectRegistry {
  readonly #home: Home
  readonly #report: (problem: string) => void
  readonly #file: WatchedFile
  readonly #listeners = new Set<() => void>()
  #entries = new Map<string, Entry>()
  #damage = ''

  constructor(home: Home, report: (problem: string) => void) {
    this.#home = home
    this.#report = report
    this.#file = new WatchedFile(home.projects, () => this.#reload())
    this.#load()
  }

  list(): Project[] {
    return [...this.#entries.values()].map(entry => entry.project)
  }

  get(id: string): Project | undefined {
    return this.#entries.get(id)?.project
  }

  isServed(id: string): boolean {
    const project = this.get(id)
    return project !== undefined && isServed(project)
  }

  /** Calls `listener` after each change of a project or of the list; returns how to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async register(repoRoot: string): Promise<Project | undefined> {
    return this.#afterWrite((await registerProject(this.#home, repoRoot)).id)
  }

  /** @returns the project, or undefined when there is none of this id */
  async enable(id: string): Promise<Project | undefined> {
    return this.#afterWrite((await setEnabled(this.#home, id, true))?.id)
  }

  async disable(id: string): Promise<Project | undefined> {
    return this.#afterWrite((await setEnabled(this.#home, id, false))?.id)
  }

  #afterWrite(id: string | undefined): Project | undefined {
    this.#reload()
    return id === undefined ? undefined : this.get(id)
  }

  #reload(): void {
    this.#load()
    this.#announce()
  }

  #load(): void {
    const records = this.#readRecords()
    if (!records) return
    const previous = this.#entries
    this.#entries = new Map()
    for (const record of records)
      if (!this.#entries.has(record.id)) this.#entries.set(record.id, this.#enter(record, previous.get(record.id)))
    for (const [id, entry] of previous) if (this.#entries.get(id)?.watched !== entry.watched) entry.watched?.close()
  }

  #readRecords(): ProjectRecord[] | undefined {
    try {
      const { projects } = parseJson(this.#home.projects, readFileSync(this.#home.projects, 'utf8'), ProjectFile)
      this.#damage = ''
      return projects
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return []
      const damage = (error as Error).message
      if (damage !== this.#damage) this.#report(`${damage}\nThe last good list of projects stays in force.`)
      this.#damage = damage
      return undefined
    }
  }

  /** Only the folder of a project that its owner enabled is followed: what the others say changes nothing. */
  #enter(record: ProjectRecord, previous: Entry | undefined): Entry {
    const moved = previous?.project.projectDir !== record.projectDir
    const watched =
      record.enabledAt === undefined ? undefined : ((moved ? undefined : previous?.watched) ?? this.#watch(record))
    const entry: Entry = { project: { ...record, ...unread }, watched, warned: previous?.warned ?? '' }
    this.#look(entry, moved ? undefined : previous?.project)
    return entry
  }

  #watch({ id, projectDir }: ProjectRecord): WatchedFile {
    const changed = () => {
      const entry = this.#entries.get(id)
      if (!entry) return
      this.#look(entry, entry.project)
      this.#announce()
    }
    return new WatchedFile([join(projectDir, configName), join(projectDir, composeName)], changed)
  }

  /** Reads the project's folder. A config that is no JSON, as while an editor saves it, leaves the last one in force. */
  #look(entry: Entry, last: Project | undefined): void {
    const { repoRoot } = entry.project
    const { config, warnings } = readProjectConfig(repoRoot)
    entry.project = {
      ...entry.project,
      config: config ?? last?.config ?? emptyConfig,
      present: isPresent(repoRoot),
    }
    entry.project.definedServices = isServed(entry.project) ? readDefinedServices(repoRoot) : null
    const warned = warnings.join('\n')
    if (warned !== '' && warned !== entry.warned) this.#report(warned)
    entry.warned = warned
  }

  #announce(): void {
    for (const listener of this.#listeners) listener()
  }

  close(): void {
    this.#file.close()
    for (const { watched } of this.#entries.values()) watched?.close()
    this.#listeners.clear()
  }
}

const unread = { config: emptyConfig, definedServices: null, present: false }
