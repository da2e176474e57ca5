import { chmod, rm } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { buildApp } from './app.js'
import { ConfigError } from './config.js'
import { systemCode } from './errors.js'
import { findLoosePermissions, type Home, prepareHome } from './home.js'
import { type Services, startServices } from './services.js'
import { type Lock, LockHeld, takeLock } from './storage/lock-file.js'

export interface DaemonOptions {
  home: Home
  /** Flags win over the config. */
  bind: string | undefined
  port: number | undefined
  log: Logger
  version: string
  hostname: string
  environment: NodeJS.ProcessEnv
  /** Tells whoever started hackd that it is ready. */
  announce: (line: string) => void
}

export type Started = { daemon: Daemon } | { problem: string; exitCode: number }

/** sun_path of unix(7) holds 107 bytes. */
const socketPathMax = 107
const loopback = /^(127\.|::1$|localhost$)/

/** Takes the home and opens both doors; or says why it cannot, with the exit code that says so. */
export async function startDaemon(options: DaemonOptions): Promise<Started> {
  const { home } = options
  if (Buffer.byteLength(home.socket) > socketPathMax)
    return { problem: `${home.socket} is too long for a socket; choose a shorter HACK_HOME`, exitCode: 2 }
  let lock: Lock | undefined
  let daemon: Daemon | undefined
  try {
    prepareHome(home)
    const loose = findLoosePermissions(home)
    if (loose.length > 0) return { problem: `others may get at its files:\n  ${loose.join('\n  ')}`, exitCode: 2 }
    // One hackd a home; a lock that a crash left never blocks.
    lock = await takeLock(home.pidFile, 0)
    daemon = new Daemon(options, lock, await startServices(options))
    await daemon.open()
    return { daemon }
  } catch (error) {
    // What was opened before it failed would keep the process alive.
    await (daemon ? daemon.close() : lock?.release())?.catch(() => undefined)
    if (error instanceof LockHeld)
      return {
        problem: `another hackd (pid ${error.owner.pid}) runs on ${home.root}; stop it with: hack daemon stop`,
        exitCode: 3,
      }
    if (error instanceof ConfigError) return { problem: error.message, exitCode: 2 }
    return { problem: describe(error), exitCode: 1 }
  }
}

function describe(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  switch (systemCode(error)) {
    case 'EADDRINUSE':
      return `${message}\nSomething else listens there. Choose another port: hackd --port N`
    case 'EADDRNOTAVAIL':
      return `${message}\nThis machine has no such address: check controlPlane.gateway.bind`
    case 'EACCES':
    case 'EPERM':
      return `${message}\nCheck who owns the home, and whether the port is below 1024`
    default:
      return message
  }
}

/** A running hackd: the admin socket, and the TCP door while at least one project is served. */
export class Daemon {
  readonly #options: DaemonOptions
  readonly #lock: Lock
  readonly #services: Services
  readonly #stop: () => void
  #local: FastifyInstance | undefined
  #tcp: FastifyInstance | undefined
  #url: string | null = null
  #turn: Promise<void> = Promise.resolve()
  #closed = false

  constructor(options: DaemonOptions, lock: Lock, services: Services) {
    this.#options = options
    this.#lock = lock
    this.#services = services
    this.#stop = services.projects.onChange(() => this.#turnDoor())
  }

  async open(): Promise<void> {
    const { home, announce } = this.#options
    this.#local = await buildApp(this.#services, { door: 'local', url: () => this.#url })
    // The lock says that no hackd listens here: what is left is a crash's.
    await rm(home.socket, { force: true })
    await this.#local.listen({ path: home.socket })
    await chmod(home.socket, 0o600)
    await this.#setDoor()
    if (this.#url === null) announce('hackd waiting: no project is enabled')
  }

  /** Opens or shuts the TCP door as projects are enabled and disabled; one change at a time. */
  #turnDoor(): void {
    this.#turn = this.#turn
      .then(() => this.#setDoor())
      .catch(error => this.#options.log.error({ err: error }, describe(error)))
  }

  async #setDoor(): Promise<void> {
    const wanted =
      !this.#closed && this.#services.projects.list().some(({ id }) => this.#services.projects.isServed(id))
    if (wanted && !this.#tcp) await this.#openDoor()
    else if (!wanted && this.#tcp) await this.#shutDoor()
  }

  async #openDoor(): Promise<void> {
    const { gateway } = this.#services.config.current
    const { bind = gateway.bind, port = gateway.port, announce, log } = this.#options
    if (!loopback.test(bind))
      log.warn({ bind }, 'listening beyond loopback: tokens travel in plain text; prefer a tunnel, a VPN or ssh -L')
    const app = await buildApp(this.#services, { door: 'tcp' })
    try {
      await app.listen({ host: bind, port })
    } catch (error) {
      await app.close()
      throw error
    }
    this.#tcp = app
    const address = app.server.address()
    const open = typeof address === 'object' && address ? address.port : port
    this.#url = `http://${isIPv6(bind) ? `[${bind}]` : bind}:${open}`
    log.info({ url: this.#url }, 'listening')
    announce(`hackd listening on ${this.#url}`)
  }

  async #shutDoor(): Promise<void> {
    const app = this.#tcp
    this.#tcp = undefined
    this.#url = null
    await app?.close()
    this.#options.log.info('no project is enabled: the listener is closed')
  }

  /** Stops accepting, ends the streams, writes what is buffered. Jobs run on. */
  async close(): Promise<void> {
    this.#closed = true
    this.#stop()
    await this.#turn
    await Promise.all([this.#tcp?.close(), this.#local?.close()])
    await this.#services.close()
    await rm(this.#options.home.socket, { force: true })
    await this.#lock.release()
  }
}
