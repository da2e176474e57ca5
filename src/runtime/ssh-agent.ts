import { spawn } from 'node:child_process'
import { Agent } from 'node:http'
import { Duplex } from 'node:stream'
import type { Endpoint } from './endpoint.js'

/**
 * Reaches an engine as `docker -H ssh://…` does: through the machine's own ssh, and so with its config, keys and known hosts,
 * and `docker system dial-stdio` at the far end. A connection is a process; destroying the one ends the other.
 */
export class SshAgent extends Agent {
  readonly #arguments: string[]

  constructor({ user, host, port, path }: Endpoint & { kind: 'ssh' }) {
    super({ keepAlive: false })
    this.#arguments = [
      ...['-o', 'BatchMode=yes', '-o', 'ConnectTimeout=10', '-o', 'ServerAliveInterval=15', '-T'],
      ...(user ? ['-l', user] : []),
      ...(port ? ['-p', String(port)] : []),
      ...['--', host, 'docker', ...(path ? ['--host', `unix://${path}`] : []), 'system', 'dial-stdio'],
    ]
  }

  override createConnection(): Duplex {
    const child = spawn('ssh', this.#arguments, { stdio: ['pipe', 'pipe', 'pipe'] })
    const connection = Duplex.from({ readable: child.stdout, writable: child.stdin })
    let complaint = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-500)
    })
    child.on('error', error => connection.destroy(error))
    child.on('exit', code => {
      if (code !== 0) connection.destroy(new Error(`ssh ended with status ${code}: ${complaint.trim()}`))
    })
    connection.on('close', () => child.kill())
    return connection
  }
}
