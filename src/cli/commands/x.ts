import { addLazily, type Configure, examples } from '../cli.js'

/** `hack x …`: what is needed now and then. */
export const x: Configure = (command, cli) => {
  addLazily(command, cli, [
    {
      name: 'gateway',
      summary: 'tokens and the audit log',
      load: async () => (await import('./x-gateway.js')).gatewayTools,
    },
  ])
  examples(command, [['hack x gateway token-create', 'create a token that may look']])
}
