import { type Static, Type } from '@sinclair/typebox'
import { Nullable, Timestamp } from './common.js'

export const Status = Type.Object(
  {
    status: Type.Literal('ok'),
    version: Type.String(),
    pid: Type.Integer(),
    started_at: Timestamp,
    uptime_ms: Type.Number(),
    url: Type.Optional(Nullable(Type.String({ description: 'Where hackd listens; on the admin socket only.' }))),
  },
  { title: 'Status' },
)
export type Status = Static<typeof Status>

/** Counters of the runtime cache and of the open streams; times are null until the first refresh. */
export const Metrics = Type.Object(
  {
    status: Type.Literal('ok'),
    started_at: Timestamp,
    uptime_ms: Type.Number(),
    cache_updated_at: Nullable(Timestamp),
    cache_age_ms: Nullable(Type.Number()),
    last_refresh_at: Nullable(Timestamp),
    refresh_count: Type.Integer(),
    refresh_failures: Type.Integer(),
    last_event_at: Nullable(Timestamp),
    events_seen: Type.Integer(),
    streams_active: Type.Integer(),
  },
  { title: 'Metrics' },
)
export type Metrics = Static<typeof Metrics>
