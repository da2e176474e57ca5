import { type Static, Type } from '@sinclair/typebox'
import { Nullable, ProjectParams } from './common.js'

/** A container of a Compose project, in the words of `docker ps -a`. */
export const RuntimeContainer = Type.Object(
  {
    id: Type.String(),
    state: Type.String({ description: 'created, running, paused, restarting, removing, exited or dead.' }),
    status: Type.String({ description: 'Such as "Up 5 minutes (healthy)" or "Exited (137) 2 seconds ago".' }),
    name: Type.String(),
    ports: Type.String({ description: 'Such as "127.0.0.1:8080->80/tcp"; empty without any.' }),
    working_dir: Nullable(Type.String()),
  },
  { title: 'RuntimeContainer' },
)
export type RuntimeContainer = Static<typeof RuntimeContainer>

export const RuntimeService = Type.Object(
  { service: Type.String(), containers: Type.Array(RuntimeContainer) },
  { title: 'RuntimeService' },
)
export type RuntimeService = Static<typeof RuntimeService>

export const RuntimeProject = Type.Object(
  { project: Type.String(), working_dir: Nullable(Type.String()), services: Type.Array(RuntimeService) },
  { title: 'RuntimeProject' },
)
export type RuntimeProject = Static<typeof RuntimeProject>

export const PsItem = Type.Object(
  { Service: Type.String(), Name: Type.String(), Status: Type.String(), Ports: Type.String() },
  { title: 'PsItem' },
)
export type PsItem = Static<typeof PsItem>

export const PsQuery = Type.Object({
  compose_project: Type.String({
    minLength: 1,
    description: 'The Compose project: the name of an enabled project, or NAME--BRANCH.',
    'x-missing': 'missing_compose_project',
    'x-invalid': 'missing_compose_project',
  }),
  project: Type.Optional(Type.String({ description: 'The name to display; the Compose project by default.' })),
  branch: Type.Optional(Type.String({ description: 'Echoed.' })),
})
export type PsQuery = Static<typeof PsQuery>

export const PsReply = Type.Object(
  {
    project: Type.String(),
    branch: Nullable(Type.String()),
    composeProject: Type.String(),
    items: Type.Array(PsItem),
    cache_age_ms: Type.Number({ description: 'How long ago the engine said this.' }),
  },
  { title: 'PsReply' },
)
export type PsReply = Static<typeof PsReply>

export const ServiceParams = Type.Composite([ProjectParams, Type.Object({ service: Type.String() })])
export type ServiceParams = Static<typeof ServiceParams>

const logStart = {
  since: Type.Optional(
    Type.Number({ minimum: 0, description: 'Seconds since the epoch: only what was written later.' }),
  ),
  tail: Type.Optional(Type.Integer({ minimum: 0, description: 'Only this many of the last lines.' })),
}

export const ServiceLogQuery = Type.Object({
  ...logStart,
  branch: Type.Optional(Type.String({ minLength: 1, description: 'The service of the Compose project NAME--BRANCH.' })),
  follow: Type.Boolean({ default: false, description: 'Over HTTP: stay open until the containers end.' }),
})
export type ServiceLogQuery = Static<typeof ServiceLogQuery>

/** Begins the stream, or begins it again elsewhere. What it leaves out is as the URL says. Answers are frames of a job. */
export const ServiceHello = Type.Object({ type: Type.Literal('hello'), ...logStart }, { title: 'ServiceHello' })
export type ServiceHello = Static<typeof ServiceHello>
