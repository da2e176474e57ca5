import { isIPv4, isIPv6 } from 'node:net'
import type { Config, LiveConfig } from '../config.js'

/** Verdicts kept for Host headers seen before: there are few honest ones. */
const rememberedHosts = 256
const hostPattern = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?$/

/** Which names this machine may be called by, and which web pages may call it: the guard against DNS rebinding and foreign sites. */
export class HostRules {
  readonly #config: LiveConfig
  readonly #machine: string[]
  readonly #verdicts = new Map<string, boolean>()
  readonly #stop: () => void

  constructor(config: LiveConfig, hostname: string) {
    this.#config = config
    const names = [hostname, hostname.split('.')[0] ?? hostname].map(name => name.toLowerCase())
    this.#machine = ['localhost', ...names, ...names.map(name => `${name}.local`)]
    this.#stop = config.onChange(() => this.#verdicts.clear())
  }

  /** Judges a raw Host header. */
  allowsHost(header: string | undefined): boolean {
    if (header === undefined) return false
    let verdict = this.#verdicts.get(header)
    if (verdict === undefined) {
      verdict = this.#judge(header)
      if (this.#verdicts.size >= rememberedHosts) this.#verdicts.clear()
      this.#verdicts.set(header, verdict)
    }
    return verdict
  }

  #judge(header: string): boolean {
    const name = splitHost(header)?.name
    if (name === undefined) return false
    if (isIPv4(name) || isIPv6(name) || this.#machine.includes(name)) return true
    return (name.endsWith('.ts.net') && name.length > '.ts.net'.length) || isListed(this.#config.current, name)
  }

  /** Judges an Origin header against the Host of the same request: the same one, a loopback one, or a listed one. */
  allowsOrigin(origin: string, host: string | undefined): boolean {
    const url = parseOrigin(origin)
    if (!url) return false
    const asked = splitHost(host ?? '')
    const port = url.port || defaultPort(url.protocol)
    if (asked && bare(url.hostname) === asked.name && port === (asked.port ?? defaultPort(url.protocol))) return true
    return (
      isLoopback(bare(url.hostname)) ||
      this.#config.current.gateway.allowedOrigins.some(entry => parseOrigin(entry)?.origin === url.origin)
    )
  }

  close(): void {
    this.#stop()
  }
}

/** The name (lower case, no brackets, no trailing dot) and port of a Host header; undefined when it is none. */
function splitHost(header: string): { name: string; port: string | undefined } | undefined {
  const [, name, port] = hostPattern.exec(header.toLowerCase()) ?? []
  return name === undefined ? undefined : { name: bare(name), port }
}

function bare(name: string): string {
  return name.startsWith('[') ? name.slice(1, -1) : name.replace(/\.$/, '')
}

/** `gateway.hosts` entries may carry a port, which says nothing here. */
function isListed(config: Config, name: string): boolean {
  return config.gateway.hosts.some(entry => splitHost(entry)?.name === name)
}

/** An http(s) origin and nothing more: no path, no user, not `null`. */
function parseOrigin(origin: string): URL | undefined {
  if (!URL.canParse(origin)) return undefined
  const url = new URL(origin)
  const isOrigin = /^https?:\/\/[^/@?#\\]+\/?$/i.test(origin)
  return isOrigin && (url.protocol === 'http:' || url.protocol === 'https:') ? url : undefined
}

function defaultPort(protocol: string): string {
  return protocol === 'https:' ? '443' : '80'
}

function isLoopback(name: string): boolean {
  return name === 'localhost' || name === '::1' || (isIPv4(name) && name.startsWith('127.'))
}
