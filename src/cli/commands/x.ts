import { addLazily, type Configure } from '../cli.js'

/** `hack x …`: what is needed now and then. */
export const x: Configure = (command, cli) => {
  addLazily(command, cli, [
    {
      name: 'gateway',
      summary: 'tokens and the audit log',
      load: async () => (await import('./x-gateway.js')).gatewayTools,
    },
  ])
}
