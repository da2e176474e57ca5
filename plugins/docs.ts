import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { LiveConfig } from '../src/config.js'

export interface DocsOptions {
  config: LiveConfig
  version: string
}

async function docs(_app: FastifyInstance, _options: DocsOptions) {}

export default fp(docs, { name: 'docs', fastify: '5.x' })
