import { readFileSync } from 'node:fs'
import { type Static, type TObject, type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { WatchedFile } from './storage/watched-file.js'

const count = (value: number, minimum = 1) => Type.Integer({ minimum, default: value })
const section = <T extends Record<string, TSchema>>(properties: T) => Type.Object(properties, { default: {} })

/** `controlPlane` of hack.config.json. Every key is optional; the defaults refuse. */
export const ControlPlane = section({
  gateway: section({
    bind: Type.String({ default: '127.0.0.1', minLength: 1 }),
    port: Type.Integer({ default: 7788, minimum: 0, maximum: 65535 }),
    allowWrites: Type.Boolean({ default: false }),
    trustProxy: Type.Boolean({ default: false }),
    hosts: Type.Array(Type.String(), { default: [] }),
    allowedOrigins: Type.Array(Type.String(), { default: [] }),
    console: Type.Boolean({ default: false }),
    rateLimit: section({ perMinute: count(6000), failedAuthPerMinute: count(30) }),
    maxStreams: section({ total: count(512), perToken: count(256) }),
  }),
  supervisor: section({
    maxConcurrentJobs: count(4),
    maxQueuedJobs: count(1000),
    logsMaxBytes: count(4 * 2 ** 30, 512),
    jobsMaxCount: count(500),
    jobsMaxAgeDays: Type.Number({ default: 30, exclusiveMinimum: 0 }),
    cancelGraceMs: count(3000, 0),
    maxClusterJobs: count(200),
  }),
  shells: section({
    max: count(32),
    scrollbackBytes: count(2 * 2 ** 20, 4096),
    exitedTtlMinutes: Type.Number({ default: 10, minimum: 0 }),
    idleMinutes: Type.Number({ default: 1440, exclusiveMinimum: 0 }),
  }),
  runtime: section({
    dockerHost: Type.Optional(Type.String()),
    managers: Type.Array(Type.String(), { default: [] }),
  }),
  audit: section({ maxBytes: count(64 * 2 ** 20, 65536), maxFiles: count(5) }),
})
type Document = Record<string, unknown>
export type Config = Static<typeof ControlPlane>

/** Keys that are read once, at start. */
export const restartKeys = ['gateway.bind', 'gateway.port', 'gateway.trustProxy', 'runtime.dockerHost']

/** Every problem of a config file at once, a sentence each. */
export class ConfigError extends Error {
  readonly problems: string[]
  constructor(path: string, problems: string[]) {
    super(`${path}:\n${problems.map(problem => `  ${problem}`).join('\n')}`)
    this.problems = problems
  }
}

/** Checks the text of a config file and fills in defaults. @throws ConfigError */
export function parseConfig(path: string, text: string): { config: Config; warnings: string[] } {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch (error) {
    throw new ConfigError(path, [`not valid JSON: ${(error as Error).message}`])
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw new ConfigError(path, ['the document must be a JSON object'])
  const given = (document as { controlPlane?: unknown }).controlPlane ?? {}
  const config: unknown = Value.Default(ControlPlane, Value.Clone(given))
  const lists = listsForSections(given, ControlPlane, 'controlPlane')
  if (Value.Check(ControlPlane, config) && lists.length === 0)
    return { config, warnings: unknownKeys(given, ControlPlane, 'controlPlane') }
  throw new ConfigError(path, [...lists, ...listProblems(config)])
}

function listProblems(config: unknown): string[] {
  const byPath = new Map<string, string>()
  for (const error of Value.Errors(ControlPlane, config)) {
    const key = `controlPlane${error.path.replaceAll('/', '.')}`
    if (!byPath.has(key)) byPath.set(key, `${key}: ${error.message}, but it is ${JSON.stringify(error.value)}`)
  }
  return [...byPath.values()]
}

/** TypeBox replaces a list that stands where a section belongs by the section's defaults. */
function listsForSections(given: unknown, schema: TObject, path: string): string[] {
  if (Array.isArray(given)) return [`${path}: Expected object, but it is ${JSON.stringify(given)}`]
  if (typeof given !== 'object' || given === null) return []
  return Object.entries(schema.properties).flatMap(([key, child]) =>
    child.type === 'object' ? listsForSections((given as Document)[key], child as TObject, `${path}.${key}`) : [],
  )
}

function unknownKeys(given: unknown, schema: TObject, path: string): string[] {
  if (typeof given !== 'object' || given === null) return []
  return Object.entries(given).flatMap(([key, value]) => {
    const known = Object.hasOwn(schema.properties, key) ? schema.properties[key] : undefined
    if (!known) return [`${path}.${key} is not a known key; it is kept and ignored`]
    return known.type === 'object' ? unknownKeys(value, known as TObject, `${path}.${key}`) : []
  })
}

/** Reads and checks a config file; a missing one is all defaults. @throws ConfigError */
export function loadConfig(path: string): { config: Config; warnings: string[] } {
  let text = '{}'
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new ConfigError(path, [`cannot be read: ${(error as Error).message}`])
  }
  return parseConfig(path, text)
}

/** The config as it stands now, following its file. A file that does not parse keeps the last good one. */
export class LiveConfig {
  readonly #path: string
  readonly #file: WatchedFile
  readonly #report: (problem: string) => void
  readonly #listeners = new Set<(config: Config) => void>()
  #current: Config

  constructor(path: string, report: (problem: string) => void) {
    this.#path = path
    this.#report = report
    this.#file = new WatchedFile(path, () => this.#reload())
    try {
      this.#current = this.#load()
    } catch (error) {
      this.#file.close()
      throw error
    }
  }

  get current(): Config {
    return this.#current
  }

  /** Calls `listener` after each change; returns how to stop. */
  onChange(listener: (config: Config) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #load(): Config {
    const { config, warnings } = loadConfig(this.#path)
    warnings.forEach(this.#report)
    return config
  }

  #reload(): void {
    try {
      this.#current = this.#load()
    } catch (error) {
      this.#report(`${(error as Error).message}\nThe last good config stays in force.`)
      return
    }
    for (const listener of this.#listeners) listener(this.#current)
  }

  close(): void {
    this.#file.close()
    this.#listeners.clear()
  }
}
