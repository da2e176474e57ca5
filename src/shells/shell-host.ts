import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { CreateShell, ShellMeta, ShellSignal, ShellStatus } from '../../schemas/shells.js'
import { GatewayError } from '../errors.js'
import { resolveWorkingDirectory } from '../projects/working-directory.js'
import { Shell, type ShellOptions } from './shell.js'
import { shellEnvironment } from './shell-environment.js'
import { type ShellPeer, ShellSession } from './shell-session.js'
import type { ShellEvent, ShellExit } from './viewer.js'

export interface ShellLimits {
  /** How many may run at a time. */
  max: number
  scrollbackBytes: number
  exitedTtlMinutes: number
  idleMinutes: number
  /** Milliseconds between hanging up and killing. */
  graceMs: number
}

export interface ShellHostOptions {
  /** hackd's own environment. */
  environment: NodeJS.ProcessEnv
  /** Asked again whenever it matters: the config may change. */
  limits: () => ShellLimits
}

/** What a shell needs to know of its project. */
export interface ShellProject {
  id: string
  name: string
  repoRoot: string
}

export interface ShellRef {
  projectId: string
  shellId: string
}

/** One client's place at a shell. Iterating `events` takes them at the client's own pace; it ends after `exit`. */
export interface Attachment {
  shell: ShellMeta
  /** Where the output that follows begins. */
  offset: number
  /** The oldest byte that is still kept. */
  oldest: number
  /** Taken at the client's own pace; the bytes of each hold until the next is asked for. */
  events: AsyncIterable<ShellEvent>
  /** True while others watch as well, and are given the same events. */
  readonly isShared: boolean
  acknowledge(offset: number): void
  close(): void
}

interface Entry {
  shell: Shell
  meta: ShellMeta
  exitedAt?: number
}

const sweepMs = 1000
/** How long viewers are given to hear of the end when hackd stops. */
const farewellMs = 1000

/** All shells of this machine: who may have another, what became of each, and when they are forgotten. */
export class ShellHost {
  readonly #limits: () => ShellLimits
  readonly #environment: Record<string, string>
  readonly #entries = new Map<string, Entry>()
  readonly #sweep: NodeJS.Timeout
  #closed = false

  constructor({ environment, limits }: ShellHostOptions) {
    this.#limits = limits
    this.#environment = shellEnvironment(environment)
    this.#sweep = setInterval(() => this.#tidy(), sweepMs).unref()
  }

  /** How many there are, by status. */
  counts(): Record<ShellStatus, number> {
    const { running } = this
    return { running, exited: this.#entries.size - running }
  }

  /** How many run now. */
  get running(): number {
    return [...this.#entries.values()].filter(({ meta }) => meta.status === 'running').length
  }

  /** @throws GatewayError `project_disabled` without a project, `too_many_shells`, `invalid_cwd`, `invalid_shell`, `shutting_down` */
  async create(project: ShellProject | undefined, request: CreateShell): Promise<ShellMeta> {
    if (!project) throw new GatewayError('project_disabled')
    this.#requireRoom()
    const cwd = await resolveWorkingDirectory(project.repoRoot, request.cwd)
    const file = await this.#findShell(cwd, request.shell)
    this.#requireRoom()
    const shellId = randomUUID()
    // Last, so that the mark by which its processes are found is true.
    const env = { ...this.#environment, ...request.env, HACK_SHELL_ID: shellId }
    const { cols = 80, rows = 24 } = request
    const { scrollbackBytes } = this.#limits()
    const onExit = ({ exitCode, signal }: ShellExit) => this.#recordExit(shellId, exitCode, signal)
    const mark = `HACK_SHELL_ID=${shellId}`
    const shell = startShell({ file, cwd, env, cols, rows, scrollbackBytes, mark, onExit })
    const now = new Date().toISOString()
    const { pid } = shell
    const { id: projectId, name: projectName } = project
    const meta: ShellMeta = {
      ...{ shellId, status: 'running', createdAt: now, updatedAt: now, projectId, projectName },
      ...{ cwd, shell: file, cols, rows, pid, signal: null },
    }
    this.#entries.set(shellId, { shell, meta })
    return { ...meta }
  }

  #recordExit(shellId: string, exitCode: number | null, signal: string | null): void {
    const entry = this.#entries.get(shellId)
    if (!entry) return
    entry.exitedAt = Date.now()
    this.#change(entry, { status: 'exited', signal, ...(exitCode === null ? {} : { exitCode }) })
  }

  #requireRoom(): void {
    if (this.#closed) throw new GatewayError('shutting_down')
    if (this.running >= this.#limits().max) throw new GatewayError('too_many_shells')
  }

  async #findShell(cwd: string, given: string | undefined): Promise<string> {
    const usual = this.#environment.SHELL
    if (given !== undefined) {
      const path = resolve(cwd, given)
      if (given !== '' && (await isExecutableFile(path))) return path
      throw new GatewayError('invalid_shell')
    }
    return usual && (await isExecutableFile(usual)) ? usual : '/bin/bash'
  }

  list(projectId: string): ShellMeta[] {
    this.#tidy()
    return [...this.#entries.values()]
      .filter(({ meta }) => meta.projectId === projectId)
      .map(({ meta }) => ({ ...meta }))
  }

  /** @throws GatewayError `shell_not_found` */
  get(ref: ShellRef): ShellMeta {
    return { ...this.#find(ref).meta }
  }

  #find({ projectId, shellId }: ShellRef): Entry {
    this.#tidy()
    const entry = this.#entries.get(shellId)
    if (entry?.meta.projectId !== projectId) throw new GatewayError('shell_not_found')
    return entry
  }

  /**
   * Attaches a client, which resumes at byte `from` or gets what its screen needs.
   * @throws GatewayError `shell_not_found`, `offset_out_of_range`
   */
  async attach(ref: ShellRef, { from }: { from?: number | undefined } = {}): Promise<Attachment> {
    const { shell, meta } = this.#find(ref)
    if (from !== undefined && from > shell.output.end) throw new GatewayError('offset_out_of_range')
    const viewer = await shell.attach(from)
    return {
      shell: { ...meta },
      offset: viewer.position,
      oldest: shell.output.oldest,
      events: viewer,
      get isShared() {
        return shell.viewers > 1
      },
      acknowledge: offset => viewer.acknowledge(offset),
      close: () => viewer.close(),
    }
  }

  /** A client's stream of one shell. */
  session(ref: ShellRef, peer: ShellPeer): ShellSession {
    return new ShellSession(this, ref, peer)
  }

  /** Hands input on; resolves when the sender may send more. Input for an exited shell goes nowhere. */
  async input(ref: ShellRef, bytes: Buffer): Promise<void> {
    await this.#find(ref).shell.write(bytes)
  }

  resize(ref: ShellRef, cols: number, rows: number): void {
    const entry = this.#find(ref)
    entry.shell.resize(cols, rows)
    if (entry.meta.cols !== cols || entry.meta.rows !== rows) this.#change(entry, { cols, rows })
  }

  /** To the process group in the terminal's foreground; none when the shell has exited. */
  signal(ref: ShellRef, signal: ShellSignal): void {
    this.#find(ref).shell.signal(signal)
  }

  /**
   * Hangs up, kills after the grace, and answers when all of it has ended.
   * @throws GatewayError `shell_not_found`, `shell_not_running`
   */
  async end(ref: ShellRef): Promise<ShellMeta> {
    const entry = this.#find(ref)
    if (entry.meta.status === 'exited') throw new GatewayError('shell_not_running')
    await entry.shell.end(this.#limits().graceMs)
    return { ...entry.meta }
  }

  #change(entry: Entry, change: Partial<ShellMeta>): void {
    Object.assign(entry.meta, change, { updatedAt: new Date().toISOString() })
  }

  #tidy(): void {
    const { exitedTtlMinutes, idleMinutes, graceMs } = this.#limits()
    const now = Date.now()
    for (const [shellId, { shell, exitedAt }] of this.#entries) {
      if (exitedAt !== undefined) {
        if (now - exitedAt < exitedTtlMinutes * 60_000 || shell.viewers > 0) continue
        this.#entries.delete(shellId)
        void shell.close()
      } else if (now - (shell.quietSince ?? now) >= idleMinutes * 60_000) {
        // What failed here is tried again by the next sweep.
        shell.end(graceMs).catch(() => {})
      }
    }
  }

  /** Ends every shell; their viewers are told. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#sweep)
    const { graceMs } = this.#limits()
    await Promise.all([...this.#entries.values()].map(({ shell }) => shell.end(graceMs)))
    await Promise.all([...this.#entries.values()].map(({ shell }) => shell.close(farewellMs)))
  }
}

async function isExecutableFile(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}

function startShell(options: ShellOptions): Shell {
  try {
    return new Shell(options)
  } catch (cause) {
    throw new GatewayError('too_many_shells', 'This machine has no process or pseudo-terminal left.', { cause })
  }
}
