import Fastify from 'fastify'

/** The least a Fastify server can do: one route, one schema, the payload of /v1/status. */
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
const url = await app.listen({ host: '127.0.0.1', port: 0 })
process.send?.(`${url}/v1/status`)
