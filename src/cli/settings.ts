import type { TObject, TSchema } from '@sinclair/typebox'
import { Type } from '@sinclair/typebox'
import { ConfigError, ControlPlane, loadConfig, parseConfig, restartKeys } from '../config.js'
import { type Home, prepareHome } from '../home.js'
import { DamagedFile, updateJson } from '../storage/atomic-file.js'
import { CliError, exitCodes, usageError } from './cli.js'

export interface Setting {
  key: string
  value: unknown
}

const prefix = 'controlPlane'
const ConfigFile = Type.Record(Type.String(), Type.Unknown())
type Document = Record<string, unknown>

/** Every key that can be set, with its schema. */
function listKeys(schema: TObject = ControlPlane, path: string = prefix): [key: string, schema: TSchema][] {
  return Object.entries(schema.properties).flatMap(([name, child]): [string, TSchema][] =>
    child.type === 'object' ? listKeys(child as TObject, `${path}.${name}`) : [[`${path}.${name}`, child]],
  )
}

const keys = listKeys()

function schemaOf(key: string): TSchema | undefined {
  return keys.find(([name]) => name === key)?.[1]
}

function describeUnknown(key: string): string {
  const last = lastPart(key)
  const near = keys.map(([name]) => name).filter(name => lastPart(name) === last)
  const advice = near.length > 0 ? `did you mean ${near.join(' or ')}?` : 'see: hack config get --global'
  return `${JSON.stringify(key)} is no setting; ${advice}`
}

const lastPart = (key: string) => key.toLowerCase().split('.').at(-1)

/** The settings in force, defaults included; all of them when no key is given. */
export function readSettings(home: Home, key: string | undefined): { settings: Setting[]; warnings: string[] } {
  if (key !== undefined && !schemaOf(key)) throw usageError(describeUnknown(key))
  const names = key === undefined ? keys.map(([name]) => name) : [key]
  try {
    const { config, warnings } = loadConfig(home.config)
    return {
      settings: names.map(name => ({ key: name, value: valueAt({ [prefix]: config }, name) ?? null })),
      warnings,
    }
  } catch (error) {
    throw invalidConfig(problemsOf(error), `Mend ${home.config}, or overwrite a setting with: hack config set --global`)
  }
}

export interface SettingsChange {
  settings: Setting[]
  warnings: string[]
  /** True when one of them is read only at start. */
  restart: boolean
}

/** Sets `[key, value, key, value …]`, keeping whatever else the file holds. Any problem, old or new, changes nothing. */
export async function setSettings(home: Home, pairs: string[]): Promise<SettingsChange> {
  if (pairs.length % 2 === 1) throw usageError(`${JSON.stringify(pairs.at(-1))} has no value.`)
  const settings = pairs.flatMap((key, index): Setting[] =>
    index % 2 === 1 ? [] : [{ key, value: parseValue(pairs[index + 1] ?? '', schemaOf(key)) }],
  )
  let warnings: string[] = []
  prepareHome(home)
  try {
    await updateJson(home.config, ConfigFile, {}, document => {
      warnings = apply(settings, document, home.config)
      return document
    })
  } catch (error) {
    throw invalidConfig(problemsOf(error), 'Nothing was changed.')
  }
  return { settings, warnings, restart: settings.some(({ key }) => restartKeys.includes(key.slice(prefix.length + 1))) }
}

/** @returns warnings  @throws ConfigError with every problem */
function apply(settings: Setting[], document: Document, path: string): string[] {
  const problems = settings.filter(({ key }) => !schemaOf(key)).map(({ key }) => describeUnknown(key))
  for (const { key, value } of settings) if (schemaOf(key)) assign(document, key.split('.'), value)
  let warnings: string[] = []
  try {
    warnings = parseConfig(path, JSON.stringify(document)).warnings
  } catch (error) {
    problems.push(...problemsOf(error))
  }
  if (problems.length > 0) throw new ConfigError(path, problems)
  return warnings
}

function problemsOf(error: unknown): string[] {
  if (error instanceof ConfigError) return error.problems
  if (error instanceof DamagedFile) return [error.message]
  throw error
}

function invalidConfig(problems: string[], next: string): CliError {
  return new CliError('invalid_config', problems.join('\n'), {
    next,
    exitCode: exitCodes.usage,
  })
}

/** What was typed, as the setting's type has it. What does not fit is left for validation to describe. */
function parseValue(text: string, schema: TSchema | undefined): unknown {
  if (schema?.type === 'string') return text
  const value = parseJsonOr(text)
  if (schema?.type !== 'array' || Array.isArray(value)) return value
  return text
    .split(',')
    .map(part => part.trim())
    .filter(part => part !== '')
}

function parseJsonOr(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function assign(document: Document, path: string[], value: unknown): void {
  const [name = '', ...rest] = path
  if (rest.length === 0) {
    document[name] = value
    return
  }
  const child = document[name]
  // Something else in the place of a section stays, for validation to describe.
  if (child !== undefined && (typeof child !== 'object' || child === null)) return
  const section = (child ?? {}) as Document
  document[name] = section
  assign(section, rest, value)
}

function valueAt(document: unknown, key: string): unknown {
  return key.split('.').reduce<unknown>((value, name) => (value as Document | undefined)?.[name], document)
}
