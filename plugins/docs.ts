import { readFileSync } from 'node:fs'
import swagger from '@fastify/swagger'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { LiveConfig } from '../src/config.js'
import { GatewayError } from '../src/errors.js'
import { hoistTitled } from './docs/components.js'
import { type Document, preamble } from './docs/document.js'
import { describe, type Frames } from './docs/operations.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What goes each way over a WebSocket. */
    frames?: Frames
  }
}

export interface DocsOptions {
  config: LiveConfig
  version: string
}

const pageHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
}
const pageFiles = [
  { url: '/docs', file: 'page.html', type: 'text/html', operationId: 'readDocs' },
  { url: '/docs/page.js', file: 'page.js', type: 'text/javascript', operationId: 'readDocsScript' },
  { url: '/docs/page.css', file: 'page.css', type: 'text/css', operationId: 'readDocsStyle' },
]

/** What can be asked here: for programs, and for people. Registered before all routes, so that it sees them. */
async function docs(app: FastifyInstance, { config, version }: DocsOptions) {
  await app.register(swagger, {
    openapi: preamble(version),
    convertConstToEnum: false,
    transform: ({ route, url }) => ({ schema: describe(route), url }),
    transformObject: found => hoistTitled(('openapiObject' in found ? found.openapiObject : {}) as Document),
  })

  // Built when it is first asked for: hackd starts without it.
  let text: string | undefined
  app.get(
    '/openapi.json',
    {
      schema: {
        tags: ['docs'],
        operationId: 'readOpenApi',
        summary: 'Read this description of the API',
        response: { 200: Type.Object({ openapi: Type.String() }, { description: 'OpenAPI 3.1.' }) },
      },
    },
    async (_request, reply) => {
      text ??= JSON.stringify(app.swagger())
      return reply.type('application/json; charset=utf-8').send(text)
    },
  )

  for (const { url, file, type, operationId } of pageFiles) {
    let content: Buffer | undefined
    const schema = {
      tags: ['docs'],
      operationId,
      summary: `Read ${url === '/docs' ? 'this description as a page' : `a part of that page: ${file}`}`,
      description: 'Needs no token; there while `gateway.console` is on.',
      security: [],
      response: { 200: { description: 'The file.', content: { [type]: { schema: Type.String() } } } },
    }
    app.get(url, { config: { open: true }, schema }, async (_request, reply) => {
      if (!config.current.gateway.console) throw new GatewayError('not_found')
      content ??= readFileSync(new URL(`./docs/${file}`, import.meta.url))
      return reply.headers(pageHeaders).type(`${type}; charset=utf-8`).send(content)
    })
  }
}

export default fp(docs, { name: 'docs', fastify: '5.x' })
