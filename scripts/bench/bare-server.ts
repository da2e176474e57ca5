import { readFileSync } from 'node:fs'
import Fastify from 'fastify'

/** The least a Fastify server can do: one route with the payload of /v1/status, or with that of the file it is given. */
const app = Fastify()
const started = new Date()
const schema = {
  response: {
    200: {
      type: 'object',
      properties: {
        status: { type: 'string' },
        version: { type: 'string' },
        pid: { type: 'integer' },
        started_at: { type: 'string' },
        uptime_ms: { type: 'number' },
      },
    },
  },
}
app.get('/v1/status', { schema }, async () => ({
  status: 'ok',
  version: '0.1.0',
  pid: process.pid,
  started_at: started.toISOString(),
  uptime_ms: Date.now() - started.getTime(),
}))
const [, , file] = process.argv
const payload: unknown = file === undefined ? undefined : JSON.parse(readFileSync(file, 'utf8'))
app.get('/payload', async () => payload)
const url = await app.listen({ host: '127.0.0.1', port: 0 })
process.send?.(`${url}${file === undefined ? '/v1/status' : '/payload'}`)
