/** An OpenAPI document, as far as this project looks into it. */
export interface Document {
  paths: Record<string, Record<string, unknown>>
  components: { schemas?: Record<string, unknown> }
}

/** What the document says before it comes to the routes. */
export function preamble(version: string) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'hackd',
      version,
      description:
        'Run jobs, open shells and watch Docker Compose on one machine. Every failure has the body ' +
        '`{error, message}`; each response lists the codes that it can bear. WebSocket routes answer 101 to a ' +
        'handshake; `x-frames` holds the JSON that goes each way in text frames. A handshake may also present its ' +
        'token as subprotocol `hack.bearer.<token>` beside `hack.v1`, or as `?token=`.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: 'http://127.0.0.1:7788', description: 'Where hackd listens unless it is told otherwise.' }],
    tags: [
      { name: 'status', description: 'How hackd itself is doing.' },
      { name: 'projects', description: 'The enabled projects, and what runs of them.' },
      { name: 'runtime', description: 'Containers of Compose projects.' },
      { name: 'jobs', description: 'Commands run in a project: created, watched, answered and ended.' },
      { name: 'shells', description: 'Terminals in a project.' },
      { name: 'audit', description: 'Who did what.' },
      { name: 'docs', description: 'This description.' },
    ],
    components: {
      securitySchemes: {
        bearer: { type: 'http' as const, scheme: 'bearer', bearerFormat: 'hack_<id>_<secret>' },
        hackToken: { type: 'apiKey' as const, in: 'header' as const, name: 'x-hack-token' },
      },
    },
    security: [{ bearer: [] }, { hackToken: [] }],
  }
}
