import { isDeepStrictEqual } from 'node:util'
import type { Document } from './document.js'

/** Annotations for hackd's own validation. */
const privateKeys = ['x-missing', 'x-invalid']

/**
 * Moves every schema that has a title into `components.schemas`, and leaves a reference.
 * @throws Error when two different schemas have one title
 */
export function hoistTitled(document: Document): Document {
  const schemas: Record<string, unknown> = {}
  const paths = hoist(document.paths, schemas) as Document['paths']
  return { ...document, paths, components: { ...document.components, schemas } }
}

function hoist(node: unknown, schemas: Record<string, unknown>): unknown {
  if (Array.isArray(node)) return node.map(item => hoist(item, schemas))
  if (typeof node !== 'object' || node === null) return node
  const entries = Object.entries(node).filter(([key, value]) => value !== undefined && !privateKeys.includes(key))
  const schema = Object.fromEntries(entries.map(([key, value]) => plain(key, hoist(value, schemas))))
  // In `properties`, a title is a schema.
  const { title } = schema
  if (typeof title !== 'string') return schema
  if (title in schemas && !isDeepStrictEqual(schemas[title], schema))
    throw new Error(`Two different schemas are called ${title}.`)
  schemas[title] = schema
  return { $ref: `#/components/schemas/${title}` }
}

/** Records are said in one way wherever they stand: generators know `additionalProperties` only. */
function plain(key: string, value: unknown): [string, unknown] {
  if (key !== 'patternProperties') return [key, value]
  return ['additionalProperties', Object.values(value as object)[0]]
}
