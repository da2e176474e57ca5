import { type Static, Type } from '@sinclair/typebox'
import { Timestamp } from './common.js'

/** A line of audit.jsonl. Writes and streams leave two with one id: the intent before, the result after. */
export const AuditEntry = Type.Object(
  {
    ts: Timestamp,
    id: Type.String(),
    phase: Type.Union([Type.Literal('intent'), Type.Literal('result')]),
    tokenId: Type.Optional(Type.String()),
    method: Type.String(),
    path: Type.String({ description: 'The path and query, secrets removed.' }),
    status: Type.Optional(Type.Integer()),
    remoteAddress: Type.String({ description: '"unix" for the local admin socket.' }),
    userAgent: Type.Optional(Type.String()),
    durationMs: Type.Optional(Type.Number()),
    projectId: Type.Optional(Type.String()),
    jobId: Type.Optional(Type.String()),
    shellId: Type.Optional(Type.String()),
    action: Type.Optional(Type.String()),
    bytesIn: Type.Optional(Type.Integer()),
    bytesOut: Type.Optional(Type.Integer()),
    count: Type.Optional(Type.Integer({ description: 'How many refusals this line sums up.' })),
    prev: Type.String({ description: "Hex SHA-256 of the previous line's bytes; 64 zeros on the first." }),
  },
  { title: 'AuditEntry' },
)
export type AuditEntry = Static<typeof AuditEntry>

export const AuditQuery = Type.Object({
  limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
  before: Type.Optional(
    Type.String({
      description: 'The id of an entry, or `next` of an earlier answer: only older entries are returned.',
    }),
  ),
})
export type AuditQuery = Static<typeof AuditQuery>

export const AuditPage = Type.Object(
  {
    entries: Type.Array(AuditEntry),
    next: Type.Optional(
      Type.String({ description: 'Pass it as `before` to go on. Absent when there is nothing older.' }),
    ),
  },
  { title: 'AuditPage' },
)
export type AuditPage = Static<typeof AuditPage>
