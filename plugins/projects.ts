import type { FastifyInstance } from 'fastify'
import { ProjectList, ProjectsQuery } from '../schemas/projects.js'
import type { ProjectViews } from '../src/projects/project-view.js'

export interface ProjectsOptions {
  views: ProjectViews
}

/** The enabled projects and what runs of them. */
export default async function projects(app: FastifyInstance, { views }: ProjectsOptions) {
  const schema = {
    tags: ['projects'],
    operationId: 'listProjects',
    summary: 'List the enabled projects',
    querystring: ProjectsQuery,
    response: { 200: ProjectList },
  }
  app.get<{ Querystring: ProjectsQuery }>('', { schema }, async ({ query, actor }) => views.list(query, actor))
}
