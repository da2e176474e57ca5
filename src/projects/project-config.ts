import { mkdirSync, realpathSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { isMap, isScalar, parseDocument } from 'yaml'
import { replaceFile } from '../storage/atomic-file.js'
import { isPresent, projectDirName, readInside } from './repository-file.js'

export const configName = 'hack.config.json'
export const composeName = 'docker-compose.yml'

/** What is larger than this is not read. Real files are a tenth of it. */
const maxConfigBytes = 64 * 1024
const maxComposeBytes = 128 * 1024
const maxServices = 1000
const maxNameLength = 100

/** What hackd reads from a project's own config; all the rest of it is ignored. */
export interface ProjectConfig {
  name: string | undefined
  devHost: string | null
  /** `controlPlane.gateway.enabled`: the repository's half of the opt-in. */
  enabled: boolean
}

/** Nothing was set, or could be read: not enabled. */
export const emptyConfig: ProjectConfig = { name: undefined, devHost: null, enabled: false }

/** `config` is undefined when the text is no JSON object, as while an editor is writing it. */
export interface ConfigReading {
  config: ProjectConfig | undefined
  warnings: string[]
}

/** Reads a project's config; never throws. What cannot be read, or leads out of the repository, enables nothing. */
export function readProjectConfig(repoRoot: string): ConfigReading {
  const path = join(repoRoot, projectDirName, configName)
  let text: string | undefined
  try {
    text = readInside(repoRoot, path, maxConfigBytes)
  } catch (error) {
    return { config: emptyConfig, warnings: [`${path}: ${(error as Error).message}`] }
  }
  if (text === undefined) return { config: emptyConfig, warnings: [] }
  const document = parseObject(text)
  if (!document) return { config: undefined, warnings: [`${path}: not a JSON object`] }
  return interpret(path, document)
}

function interpret(path: string, document: Record<string, unknown>): ConfigReading {
  const warnings: string[] = []
  const gateway = objectAt(objectAt(document, 'controlPlane'), 'gateway')
  for (const key of ['bind', 'port', 'allowWrites'])
    if (Object.hasOwn(gateway, key))
      warnings.push(`${path}: controlPlane.gateway.${key} is ignored here; only the global config sets it`)
  const take = <T>(from: Record<string, unknown>, key: string, valid: (value: unknown) => value is T, what: string) => {
    const value = Object.hasOwn(from, key) ? from[key] : undefined
    if (value === undefined || valid(value)) return value
    warnings.push(`${path}: ${what}; it is ignored`)
    return undefined
  }
  const config: ProjectConfig = {
    name: take(document, 'name', isProjectName, `name must be 1 to ${maxNameLength} printable characters`),
    devHost: take(document, 'dev_host', isHost, 'dev_host must be a host name without a scheme') ?? null,
    enabled: take(gateway, 'enabled', isBoolean, 'controlPlane.gateway.enabled must be true or false') ?? false,
  }
  return { config, warnings }
}

/** Printable, on one line, and short: names end up in terminals, logs and headers. */
export function isProjectName(value: unknown): value is string {
  return typeof value === 'string' && value.trim() === value && /^[^\p{C}\p{Zl}\p{Zp}]{1,100}$/u.test(value)
}

const isBoolean = (value: unknown): value is boolean => typeof value === 'boolean'
const isHost = (value: unknown): value is string =>
  typeof value === 'string' && /^[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})(:\d{1,5})?$/.test(value)

/** A name for a folder that was given none. */
export function defaultName(repoRoot: string): string {
  const name = [...basename(repoRoot).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '')].slice(0, 100).join('').trim()
  return isProjectName(name) ? name : 'project'
}

/** The service names of the project's compose file, in its order; null when there is none or it cannot be read. */
export function readDefinedServices(repoRoot: string): string[] | null {
  try {
    const text = readInside(repoRoot, join(repoRoot, projectDirName, composeName), maxComposeBytes)
    return text === undefined ? null : serviceNames(text)
  } catch {
    return null
  }
}

/**
 * Reads the syntax tree only: aliases are never expanded and no value is built, so a small file cannot become a large
 * one. The check for equal keys is left out because it takes quadratic time.
 */
function serviceNames(text: string): string[] | null {
  const document = parseDocument(text, { uniqueKeys: false, logLevel: 'silent', prettyErrors: false })
  if (document.errors.length > 0 || !isMap(document.contents)) return null
  const services = document.contents.get('services', true)
  if (!isMap(services)) return null
  const names = services.items.map(({ key }) => (isScalar(key) ? String(key.value) : ''))
  return [...new Set(names.filter(isProjectName))].filter(name => name !== '<<').slice(0, maxServices)
}

/**
 * Creates `.hack/hack.config.json` when there is none; one that is there stays as it is.
 * @returns whether it was created
 */
export async function createProjectConfig(repoRoot: string, name: string): Promise<boolean> {
  mkdirSync(join(repoRoot, projectDirName), { recursive: true })
  return editConfig(repoRoot, document =>
    document ? undefined : { name, controlPlane: { gateway: { enabled: false } } },
  )
}

/**
 * Writes the repository's half of the opt-in and keeps everything else that the file holds.
 * @returns whether the file changed
 */
export async function setGatewayEnabled(repoRoot: string, enabled: boolean): Promise<boolean> {
  return editConfig(repoRoot, (document = {}) => {
    const controlPlane = objectAt(document, 'controlPlane')
    const gateway = objectAt(controlPlane, 'gateway')
    if ((gateway.enabled ?? false) === enabled) return undefined
    return { ...document, controlPlane: { ...controlPlane, gateway: { ...gateway, enabled } } }
  })
}

type Document = Record<string, unknown>

/**
 * `edit` returns undefined to leave the file as it is.
 * @throws Error with a sentence when the folder leads out of the repository or the file holds no JSON object.
 */
async function editConfig(
  repoRoot: string,
  edit: (document: Document | undefined) => Document | undefined,
): Promise<boolean> {
  if (!isPresent(repoRoot)) throw new Error(`${join(repoRoot, projectDirName)} is not a folder of this repository`)
  const path = join(realpathSync(join(repoRoot, projectDirName)), configName)
  const text = readInside(repoRoot, path, maxConfigBytes)
  const document = text === undefined ? undefined : parseObject(text)
  if (text !== undefined && !document) throw new Error(`${path} is not a JSON object; mend it first`)
  const next = edit(document)
  if (next === undefined) return false
  const target = text === undefined ? path : realpathSync(path)
  await replaceFile(
    target,
    `${JSON.stringify(next, null, 2)}\n`,
    text === undefined ? 0o644 : statSync(target).mode & 0o777,
  )
  return true
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function objectAt(from: Record<string, unknown>, key: string): Record<string, unknown> {
  const value = Object.hasOwn(from, key) ? from[key] : undefined
  return isObject(value) ? value : {}
}
