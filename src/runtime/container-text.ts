import type { ContainerInfo, Port } from 'dockerode'

/** `NAMES` of `docker ps`: without the leading slash, and without the names that links give (/web/db). */
export function containerName(names: readonly string[]): string {
  return names
    .map(name => name.replace(/^\//, ''))
    .filter(name => !name.includes('/'))
    .join(',')
}

interface PortRange {
  ip: string
  type: string
  first: number
  last: number
}

/**
 * `PORTS` of `docker ps`. Ports that are published under their own number, or only exposed, are merged into ranges an address
 * and protocol at a time; ports published under another number follow one by one (docker/cli, cli/command/formatter).
 */
export function portsText(ports: ContainerInfo['Ports'] | null | undefined): string {
  const open = new Map<string, PortRange>()
  const interrupted: string[] = []
  const mapped: string[] = []
  for (const port of [...(ports ?? [])].sort(byPort)) {
    const ip = port.IP ?? ''
    if (ip !== '' && port.PublicPort !== port.PrivatePort) {
      mapped.push(`${address(ip, String(port.PublicPort))}->${port.PrivatePort}/${port.Type}`)
      continue
    }
    const key = `${ip}/${port.Type}`
    const range = open.get(key)
    if (range && port.PrivatePort === range.last + 1) {
      range.last++
      continue
    }
    if (range) interrupted.push(rangeText(range))
    // Setting an existing key keeps its place, as the engine's own client does.
    open.set(key, { ip, type: port.Type, first: port.PrivatePort, last: port.PrivatePort })
  }
  return [...interrupted, ...[...open.values()].map(rangeText), ...mapped].join(', ')
}

function byPort(a: Port, b: Port): number {
  return (
    a.PrivatePort - b.PrivatePort ||
    compare(a.IP ?? '', b.IP ?? '') ||
    (a.PublicPort ?? 0) - (b.PublicPort ?? 0) ||
    compare(a.Type, b.Type)
  )
}

const compare = (a: string, b: string) => (a < b ? -1 : Number(a > b))

function rangeText({ ip, type, first, last }: PortRange): string {
  const range = first === last ? String(first) : `${first}-${last}`
  return ip === '' ? `${range}/${type}` : `${address(ip, range)}->${range}/${type}`
}

const address = (ip: string, port: string) => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)
