import { FormatRegistry, type Static, type TSchema, Type } from '@sinclair/typebox'

// TypeBox refuses formats that nobody defined.
FormatRegistry.Set('date-time', value => /^\d{4}-\d\d-\d\dT/.test(value) && !Number.isNaN(Date.parse(value)))

/** ISO 8601 in UTC, with milliseconds. */
export const Timestamp = Type.String({ format: 'date-time' })

export const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])

/** One of these strings. */
export const literals = <const T extends string[]>(...values: T) =>
  Type.Unsafe<T[number]>(Type.Union(values.map(value => Type.Literal(value))))

/** The body of every failure. `error` is a code of src/errors.ts. */
export const Failure = Type.Object(
  {
    error: Type.String({ description: 'A stable code: each response lists those that it can bear.' }),
    message: Type.String({ description: 'What happened, and what to do about it.' }),
  },
  { title: 'Failure' },
)
export type Failure = Static<typeof Failure>

/** An answer of bytes as they are, and its headers. */
export const rawBytes = (description: string, headers: Record<string, TSchema> = {}) => ({
  description,
  headers,
  content: { 'application/octet-stream': { schema: Type.String({ format: 'binary' }) } },
})

export const ProjectParams = Type.Object({ projectId: Type.String() })
export type ProjectParams = Static<typeof ProjectParams>
