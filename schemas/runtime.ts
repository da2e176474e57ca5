import { type Static, Type } from '@sinclair/typebox'
import { Nullable } from './common.js'

export const RuntimeContainer = Type.Object(
  {
    id: Type.String(),
    state: Type.String(),
    status: Type.String(),
    name: Type.String(),
    ports: Type.String(),
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
