import { createHash } from 'node:crypto'
import { access, constants, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Where an engine listens. */
export type Endpoint =
  | { kind: 'unix'; path: string }
  | { kind: 'tcp'; host: string; port: number; tls?: TlsFiles }
  | { kind: 'ssh'; user?: string; host: string; port?: number; path?: string }

/** PEM texts; an empty one means that the machine's own authorities do. */
export interface TlsFiles {
  ca?: string
  cert?: string
  key?: string
}

export interface EndpointSources {
  /** `runtime.dockerHost` of the config. */
  configured?: string | undefined
  /** The daemon's environment: DOCKER_HOST, DOCKER_CONTEXT, DOCKER_CONFIG, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH, XDG_RUNTIME_DIR, HOME. */
  environment: Readonly<Record<string, string | undefined>>
}

/**
 * The engine that `docker` itself would speak to: the configured one, else DOCKER_HOST, else the current context, else the
 * first socket that may be used, of the system's engine, a rootless one, Docker Desktop's and Podman's.
 * @throws Error for an address that cannot be understood, or TLS files that cannot be read.
 */
export async function findEndpoint(sources: EndpointSources): Promise<Endpoint> {
  const { environment } = sources
  const host = sources.configured || environment.DOCKER_HOST
  if (host) return parseEndpoint(host, await environmentTls(environment))
  return (await contextEndpoint(environment)) ?? { kind: 'unix', path: await findSocket(environment) }
}

/** @throws Error that says what is wrong with `address`. */
export function parseEndpoint(address: string, tls?: TlsFiles): Endpoint {
  if (address.startsWith('unix://') || address.startsWith('/')) {
    const path = address.replace(/^unix:\/\//, '')
    if (path.startsWith('/')) return { kind: 'unix', path }
  }
  const text = address.includes('://') ? address : `tcp://${address}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  const host = url?.hostname.replace(/^\[|\]$/g, '')
  if (!url || !host)
    throw new Error(`"${address}" is no Docker address: use unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST`)
  if (url.protocol === 'ssh:')
    return {
      kind: 'ssh',
      host,
      ...(url.username && { user: decodeURIComponent(url.username) }),
      ...(url.port && { port: Number(url.port) }),
      ...(url.pathname.length > 1 && { path: url.pathname }),
    }
  if (!['tcp:', 'http:', 'https:'].includes(url.protocol))
    throw new Error(`"${address}": hackd speaks to engines over unix, tcp and ssh`)
  const secure = tls ?? (url.protocol === 'https:' || url.port === '2376' ? {} : undefined)
  return { kind: 'tcp', host, port: Number(url.port || (secure ? 2376 : 2375)), ...(secure && { tls: secure }) }
}

async function environmentTls(environment: EndpointSources['environment']): Promise<TlsFiles | undefined> {
  const { DOCKER_CERT_PATH: folder, DOCKER_TLS_VERIFY: verify } = environment
  if (!verify) return undefined
  return readTls(folder ?? configFolder(environment))
}

async function readTls(folder: string): Promise<TlsFiles> {
  const read = (name: string) => readFile(join(folder, name), 'utf8')
  return { ca: await read('ca.pem'), cert: await read('cert.pem'), key: await read('key.pem') }
}

const homeOf = (environment: EndpointSources['environment']) => environment.HOME ?? homedir()
const configFolder = (environment: EndpointSources['environment']) =>
  environment.DOCKER_CONFIG ?? join(homeOf(environment), '.docker')

/** A context lives in a folder that is named after the SHA-256 of its name (`docker context`). */
async function contextEndpoint(environment: EndpointSources['environment']): Promise<Endpoint | undefined> {
  const folder = configFolder(environment)
  const name = environment.DOCKER_CONTEXT ?? (await readField(join(folder, 'config.json'), ['currentContext']))
  if (!name || name === 'default') return undefined
  const id = createHash('sha256').update(name).digest('hex')
  const host = await readField(join(folder, 'contexts', 'meta', id, 'meta.json'), ['Endpoints', 'docker', 'Host'])
  if (!host) throw new Error(`the Docker context "${name}" is not to be found below ${folder}`)
  const tls = await readTls(join(folder, 'contexts', 'tls', id, 'docker')).catch(() => undefined)
  return parseEndpoint(host, tls)
}

/** A string somewhere in a JSON file; undefined when there is none. */
async function readField(path: string, keys: string[]): Promise<string | undefined> {
  try {
    let value: unknown = JSON.parse(await readFile(path, 'utf8'))
    for (const key of keys) value = (value as Record<string, unknown> | undefined)?.[key]
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

async function findSocket(environment: EndpointSources['environment']): Promise<string> {
  const system = '/var/run/docker.sock'
  const home = homeOf(environment)
  const runtime = environment.XDG_RUNTIME_DIR
  const candidates = [
    system,
    ...(runtime ? [join(runtime, 'docker.sock')] : []),
    join(home, '.docker/run/docker.sock'),
    join(home, '.docker/desktop/docker.sock'),
    ...(runtime ? [join(runtime, 'podman/podman.sock')] : []),
    '/run/podman/podman.sock',
  ]
  for (const path of candidates) if (await isUsable(path)) return path
  return system
}

const isUsable = (path: string) =>
  access(path, constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  )
