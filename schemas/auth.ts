import { type Static, Type } from '@sinclair/typebox'
import { Timestamp } from './common.js'

/** `read` sees; `write` runs commands as the user who runs hackd. */
export const Scope = Type.Union([Type.Literal('read'), Type.Literal('write')], { title: 'Scope' })
export type Scope = Static<typeof Scope>

/** A row of tokens.json. The secret itself is never stored: `hash` is an argon2id PHC string. */
export const TokenRecord = Type.Object(
  {
    id: Type.String({ pattern: '^[0-9a-f]{12}$' }),
    hash: Type.String(),
    scope: Scope,
    label: Type.Optional(Type.String()),
    projects: Type.Optional(Type.Array(Type.String(), { description: 'Project ids it is confined to; absent: all.' })),
    createdAt: Timestamp,
    expiresAt: Type.Optional(Timestamp),
    revokedAt: Type.Optional(Timestamp),
  },
  { title: 'TokenRecord' },
)
export type TokenRecord = Static<typeof TokenRecord>

export const TokenFile = Type.Object({ version: Type.Literal(2), tokens: Type.Array(TokenRecord) })
export type TokenFile = Static<typeof TokenFile>

/** What `token-create --json` prints, once. */
export const CreatedToken = Type.Intersect([
  Type.Object({ token: Type.String() }),
  Type.Omit(TokenRecord, ['hash', 'revokedAt']),
])
export type CreatedToken = Static<typeof CreatedToken>
