import { type Static, Type } from '@sinclair/typebox'
import { Nullable, Timestamp } from './common.js'
import { RuntimeProject } from './runtime.js'

/** A row of projects.json. `enabledAt` is the owner's word; the project's own config has to agree. */
export const ProjectRecord = Type.Object({
  id: Type.String({ pattern: '^[0-9a-f]{12}$' }),
  name: Type.String({ minLength: 1 }),
  repoRoot: Type.String(),
  projectDirName: Type.String(),
  projectDir: Type.String(),
  devHost: Type.Optional(Type.String()),
  createdAt: Timestamp,
  lastSeenAt: Timestamp,
  enabledAt: Type.Optional(Timestamp),
})
export type ProjectRecord = Static<typeof ProjectRecord>

export const ProjectFile = Type.Object({ version: Type.Literal(1), projects: Type.Array(ProjectRecord) })
export type ProjectFile = Static<typeof ProjectFile>

export const ProjectView = Type.Object(
  {
    project_id: Nullable(Type.String()),
    name: Type.String(),
    dev_host: Nullable(Type.String()),
    repo_root: Nullable(Type.String()),
    project_dir: Nullable(Type.String()),
    defined_services: Nullable(Type.Array(Type.String())),
    runtime: Nullable(RuntimeProject),
    branch_runtime: Type.Array(Type.Object({ branch: Type.String(), runtime: RuntimeProject })),
    kind: Type.Union([Type.Literal('registered'), Type.Literal('unregistered')]),
    status: Type.Union(
      [Type.Literal('running'), Type.Literal('stopped'), Type.Literal('missing'), Type.Literal('unregistered')],
      { description: '`missing`: its folder is gone, or there is an engine that cannot be asked what runs.' },
    ),
  },
  { title: 'ProjectView' },
)
export type ProjectView = Static<typeof ProjectView>

export const ProjectsQuery = Type.Object({
  filter: Type.Optional(Type.String({ description: 'The exact name of a project.' })),
  include_global: Type.Boolean({ default: false, description: 'Also projects that live below the home of hackd.' }),
  include_unregistered: Type.Boolean({ default: false, description: 'Ignored: always false over the gateway.' }),
})
export type ProjectsQuery = Static<typeof ProjectsQuery>

export const ProjectList = Type.Object(
  {
    generated_at: Timestamp,
    filter: Nullable(Type.String()),
    include_global: Type.Boolean(),
    include_unregistered: Type.Literal(false),
    cache_age_ms: Type.Optional(
      Nullable(Type.Number({ description: 'How long ago the engine said what runs; null when it never did.' })),
    ),
    projects: Type.Array(ProjectView),
  },
  { title: 'ProjectList' },
)
export type ProjectList = Static<typeof ProjectList>
