import { request } from 'node:http'
import { createGatewayClient, type GatewayClient, type Transport } from '../client/client.js'
import type { Home } from '../home.js'

const answerMs = 10_000

/** HTTP over hackd's admin socket; the file's mode is what guards it, so there is no token. */
export function adminClient(home: Home): GatewayClient {
  return createGatewayClient({ baseUrl: 'http://localhost', transport: viaSocket(home.socket) })
}

function viaSocket(socketPath: string): Transport {
  return ({ method, url, headers, body, signal }) =>
    new Promise((resolve, reject) => {
      const { pathname, search } = new URL(url)
      const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
      const outgoing = request({
        socketPath,
        method,
        path: pathname + search,
        headers: { ...headers, ...length },
        timeout: answerMs,
        ...(signal ? { signal } : {}),
      })
      outgoing.on('error', reject)
      outgoing.on('timeout', () => outgoing.destroy(new Error(`hackd did not answer within ${answerMs / 1000} s`)))
      outgoing.on('response', response => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }))
      })
      outgoing.end(body)
    })
}
