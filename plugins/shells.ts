import type { FastifyInstance } from 'fastify'
import { ProjectParams } from '../schemas/common.js'
import {
  CreateShell,
  ShellClientFrame,
  ShellFrame,
  ShellListReply,
  ShellParams,
  ShellReply,
} from '../schemas/shells.js'
import type { ProjectRegistry } from '../src/projects/registry.js'
import type { ShellHost } from '../src/shells/shell-host.js'
import type { StreamRegistry } from './streams.js'

export interface ShellsOptions {
  shells: ShellHost
  projects: ProjectRegistry
  streams: StreamRegistry
}

const tags = ['shells']

interface ForProject {
  Params: ProjectParams
}
interface ForShell {
  Params: ShellParams
}

/** Shells of one project: open, look at, work in and end them. */
export default async function shells(app: FastifyInstance, { shells: host, projects, streams }: ShellsOptions) {
  app.get<ForProject>(
    '',
    {
      schema: {
        tags,
        operationId: 'listShells',
        summary: 'List shells',
        params: ProjectParams,
        response: { 200: ShellListReply },
      },
    },
    async ({ params }) => ({ shells: host.list(params.projectId) }),
  )

  app.post<ForProject & { Body: CreateShell }>(
    '',
    {
      schema: {
        tags,
        operationId: 'createShell',
        summary: 'Open a shell',
        params: ProjectParams,
        body: CreateShell,
        response: { 201: ShellReply },
      },
    },
    async ({ params, body, audit }, reply) => {
      audit.action('shell.create')
      const shell = await host.create(projects.get(params.projectId), body)
      audit.action('shell.create', { shellId: shell.shellId })
      return reply.code(201).send({ shell })
    },
  )

  app.get<ForShell>(
    '/:shellId',
    {
      schema: {
        tags,
        operationId: 'getShell',
        summary: 'Look at a shell',
        params: ShellParams,
        response: { 200: ShellReply },
      },
    },
    async ({ params }) => ({ shell: host.get(params) }),
  )

  app.delete<ForShell>(
    '/:shellId',
    {
      schema: {
        tags,
        operationId: 'endShell',
        summary: 'End a shell',
        description: 'Answers when it has ended: hung up on, and killed if it goes on.',
        params: ShellParams,
        response: { 200: ShellReply },
      },
    },
    async ({ params, audit }) => {
      audit.action('shell.close')
      return { shell: await host.end(params) }
    },
  )

  app.get<ForShell>(
    '/:shellId/stream',
    {
      schema: {
        tags,
        operationId: 'streamShell',
        summary: 'Work in a shell over a WebSocket',
        description: 'Text that is no frame, and binary frames, are input as they are.',
        params: ShellParams,
      },
      config: { write: true, frames: { client: ShellClientFrame, server: ShellFrame } },
      websocket: true,
      preHandler: async (request, reply) => {
        host.get(request.params)
        streams.reserve(request, reply)
        request.audit.action('shell.attach')
      },
    },
    (socket, request) => {
      const { audit, params } = request
      socket.once('close', () => audit.action('shell.detach'))
      streams.serve(request, socket, { projectId: params.projectId, write: true }, stream =>
        host.session(params, {
          signal: stream.signal,
          send: frame => stream.send(frame),
          get buffered() {
            return stream.buffered
          },
          onRecord: (action, act) => audit.deed(action, act),
        }),
      )
    },
  )
}
