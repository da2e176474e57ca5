import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
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
    return new SshConnection(this.#arguments)
  }
}

class SshConnection extends Duplex {
  readonly #child: ChildProcessWithoutNullStreams

  constructor(args: string[]) {
    super()
    const child = spawn('ssh', args)
    this.#child = child
    let complaint = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-500)
    })
    child.stdout.on('data', (chunk: Buffer) => this.push(chunk) || child.stdout.pause())
    // How ssh ended says more than a pipe that it no longer reads.
    child.stdin.on('error', () => undefined)
    child.on('error', error => this.destroy(error))
    child.on('close', code => {
      if (code === 0) this.push(null)
      else this.destroy(new Error(`ssh ended with status ${code}: ${complaint.trim()}`))
    })
  }

  override _read(): void {
    this.#child.stdout.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#child.stdin.write(chunk, error => error || done())
  }

  override _final(done: () => void): void {
    this.#child.stdin.end(done)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#child.kill()
    done(error)
  }
}
