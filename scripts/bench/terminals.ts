import { fork } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import { type Hackd, startHackd } from '../../test/hackd.js'
import type { Bench } from './scenario.js'

/** What serves terminals: hackd, or the baseline. */
export interface Terminals {
  pid: number
  /** Runs a POSIX sh program on a terminal and connects to it. */
  run(program: string): Promise<TerminalClient>
}

export async function hackdTerminals(bench: Bench, config: Record<string, object> = {}) {
  const hackd = await startHackd(bench, {
    config: { gateway: { rateLimit: { perMinute: 1e9 } }, shells: { max: 1000 }, ...config },
  })
  const run = async (program: string) => connect(shellUrl(hackd, await hackd.runInShell(program)), bearer(hackd))
  return { hackd, pid: hackd.child?.pid ?? 0, run }
}

/** The baseline, in a process of its own like hackd. */
export async function relayTerminals(bench: Bench, folder: string): Promise<Terminals> {
  const relay = fork(fileURLToPath(new URL('shell-relay.js', import.meta.url)))
  bench.after(() => relay.kill())
  const [url] = await once(relay, 'message')
  let programs = 0
  const run = async (program: string) => {
    const file = join(folder, `relayed-${programs++}`)
    writeFileSync(file, `#!/bin/sh\n${program}\n`)
    chmodSync(file, 0o755)
    return connect(`${url}/?file=${encodeURIComponent(file)}`, {})
  }
  return { pid: relay.pid ?? 0, run }
}

export const shellUrl = (hackd: Hackd, { shellId }: { shellId: string }) =>
  `${hackd.url.replace('http', 'ws')}${hackd.shells(`/${shellId}/stream`)}`
export const bearer = (hackd: Hackd) => ({ authorization: `Bearer ${hackd.token}` })

/** The same client for both sides: input goes as it is, output is taken out of its frames. */
export class TerminalClient {
  readonly socket: WebSocket
  /** Characters that arrived. */
  received = 0
  #tail = ''
  #wanted: { text: string; found: () => void } | undefined

  constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', data => {
      const frame = JSON.parse(String(data))
      if (frame.type === 'output') this.#take(frame.data)
    })
  }

  #take(data: string): void {
    this.received += data.length
    if (!this.#wanted) return
    this.#tail = this.#tail.slice(-64) + data
    if (!this.#tail.includes(this.#wanted.text)) return
    const { found } = this.#wanted
    this.#wanted = undefined
    this.#tail = ''
    found()
  }

  /** Types, and resolves when the output has a text. */
  ask(input: string, text: string): Promise<void> {
    const answer = new Promise<void>(found => {
      this.#tail = ''
      this.#wanted = { text, found }
    })
    this.socket.send(input)
    return answer
  }

  close(): Promise<unknown> {
    const closed = once(this.socket, 'close')
    this.socket.terminate()
    return closed
  }
}

export async function connect(url: string, headers: Record<string, string>): Promise<TerminalClient> {
  const socket = new WebSocket(url, { headers, perMessageDeflate: false })
  const client = new TerminalClient(socket)
  await once(socket, 'open')
  return client
}

/** User and system CPU seconds of a process so far (proc(5): fields 14 and 15, in ticks of 10 ms). */
export function cpuSeconds(pid: number): { user: number; system: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { user: Number(fields[11]) / 100, system: Number(fields[12]) / 100 }
}

/** Prints a text after `bytes` of lines, once it was told to; the text is nowhere in what is typed. */
export const flood = (bytes: number) =>
  `stty -echo; printf ready; read go; yes 'a line that a build or a test may print, 0123456789' | head -c ${bytes}; printf END; read end`
