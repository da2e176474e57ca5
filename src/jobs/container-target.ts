import { type Static, Type } from '@sinclair/typebox'
import type { CreateJob } from '../../schemas/jobs.js'
import { GatewayError } from '../errors.js'

/** Where a job of the runner `docker` runs: inside a service's running container, or in a fresh one of an image. */
export const ContainerTarget = Type.Object({
  service: Type.Optional(Type.String()),
  image: Type.Optional(Type.String()),
  pull: Type.Boolean(),
  /** The Compose project that a service is looked for in. */
  composeProject: Type.String(),
  /** The project's folder, which a fresh container sees at its own path. */
  root: Type.String(),
})
export type ContainerTarget = Static<typeof ContainerTarget>

/** What a body asks for of containers, if anything. @throws GatewayError invalid_request */
export function containerTarget(
  { runner, docker }: CreateJob,
  project: { name: string; repoRoot: string },
): ContainerTarget | undefined {
  if (runner !== 'docker') {
    if (docker) throw invalid('"docker" is for the runner "docker": add "runner": "docker", or leave "docker" out.')
    return undefined
  }
  const { service, image, pull } = docker ?? {}
  if ((service === undefined) === (image === undefined))
    throw invalid(
      'The runner "docker" needs to know where: "docker": {"service": NAME} for the running container of a Compose service, or "docker": {"image": NAME} for a fresh container; one of the two.',
    )
  if (service !== undefined && pull !== undefined)
    throw invalid('"docker.pull" goes with "docker.image": the container of a service runs already.')
  return {
    ...(service !== undefined && { service }),
    ...(image !== undefined && { image }),
    pull: pull ?? false,
    composeProject: project.name,
    root: project.repoRoot,
  }
}

const invalid = (sentence: string) => new GatewayError('invalid_request', sentence)
