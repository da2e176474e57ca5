import { readFile, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { ContainerEnds } from '../../runtime/container-ends.js'
import type { ContainerNote, ContainerTask } from '../../runtime/container-task.js'
import { FileChanges } from '../../storage/file-changes.js'
import { writePrivate } from '../../storage/private-file.js'
import type { Run, RunEnd, Runner, RunSpec } from './runner.js'

const programPath = fileURLToPath(new URL('../../runtime/container-program.js', import.meta.url))

/** How long the program that watches the container may take to write the last bytes after everything was ended. */
const drainMs = 5000

export interface DockerRunnerOptions {
  /** Runs the program that watches the container: it survives hackd, as does what it writes down. */
  beside: Runner
  ends: ContainerEnds
  /** The program's environment, in which it finds the engine where `dockerHost` does not say. */
  environment: Record<string, string>
  dockerHost?: string | undefined
}

/** Runs a command in a container: inside that of a Compose service, or in a fresh one. */
export class DockerRunner implements Runner {
  readonly name = 'docker'
  readonly #options: DockerRunnerOptions

  constructor(options: DockerRunnerOptions) {
    this.#options = options
  }

  async start(spec: RunSpec): Promise<Run> {
    await writePrivate(spec.folder.task, JSON.stringify(this.#task(spec)))
    return new DockerRun(spec, await this.#options.beside.start(this.#program(spec)), this.#options.ends)
  }

  async adopt(spec: RunSpec): Promise<Run | undefined> {
    const run = await this.#options.beside.adopt(this.#program(spec))
    if (run) return new DockerRun(spec, run, this.#options.ends)
    await rm(spec.folder.task, { force: true })
    return undefined
  }

  #program(spec: RunSpec): RunSpec {
    const { HACK_JOB_ID = '' } = spec.ownEnvironment
    const environment = { ...this.#options.environment, HACK_JOB_ID }
    return { ...spec, command: [process.execPath, programPath, spec.folder.task], cwd: '/', environment }
  }

  #task({ jobId, folder, command, cwd, stdin, ownEnvironment, container }: RunSpec): ContainerTask {
    if (!container) throw new Error('its record does not say in which container it is to run')
    const { dockerHost } = this.#options
    const { journal, ownEvents } = folder
    const task = { jobId, command, cwd, stdin, journal, ownEvents, environment: ownEnvironment, target: container }
    return { ...task, ...(dockerHost !== undefined && { dockerHost }) }
  }
}

class DockerRun implements Run {
  /** Without a pid: the engine's processes are none of ours. */
  readonly started: Promise<{ pid?: number }>
  readonly ended: Promise<RunEnd>
  readonly #spec: RunSpec
  readonly #program: Run
  readonly #ends: ContainerEnds
  readonly #changes: FileChanges
  #notes: ContainerNote = {}
  #announceStart: (start: { pid?: number }) => void = () => undefined

  constructor(spec: RunSpec, program: Run, ends: ContainerEnds) {
    this.#spec = spec
    this.#program = program
    this.#ends = ends
    this.started = new Promise(resolve => {
      this.#announceStart = resolve
    })
    this.ended = program.ended.then(end => this.#conclude(end))
    this.#changes = new FileChanges(spec.folder.journal, () => void this.#look())
    void this.#look()
  }

  isOver(): Promise<boolean> {
    return this.#program.isOver()
  }

  /**
   * Everything inside the container is ended first, so that the program can write down what came of it; then the program, and what
   * hackd may see of the container's processes on this machine. Where the engine does not help, that is all there is.
   */
  async end(graceMs: number): Promise<NodeJS.Signals> {
    await this.#look()
    const inside = await this.#endInside(graceMs).catch(() => undefined)
    const rest = await this.#program.end(inside ? drainMs : graceMs)
    return inside === 'SIGKILL' ? inside : rest
  }

  input(data: Uint8Array, eof: boolean): Promise<void> {
    return this.#program.input(data, eof)
  }

  close(): void {
    this.#changes.close()
    this.#program.close()
  }

  /** Undefined when nothing has been started inside. */
  async #endInside(graceMs: number): Promise<NodeJS.Signals | undefined> {
    const { started } = this.#notes
    if (started === undefined) return undefined
    const { jobId, container } = this.#spec
    if (container?.image !== undefined) return this.#ends.container(jobId, graceMs)
    return this.#ends.processes(jobId, started, graceMs)
  }

  async #conclude(end: RunEnd): Promise<RunEnd> {
    this.#changes.close()
    await this.#look()
    await this.#clear().catch(() => undefined)
    const { exitCode, failure, error } = this.#notes
    if (end.failure) return { failure: end.failure, ...(end.error !== undefined && { error: end.error }) }
    if (exitCode !== undefined) return { exitCode }
    if (failure) return { failure, ...(error !== undefined && { error }) }
    return { failure: 'lost', error: 'the program that watched its container was ended' }
  }

  /** The program clears up after itself, unless it was killed. */
  async #clear(): Promise<void> {
    await rm(this.#spec.folder.task, { force: true })
    if (this.#spec.container?.image !== undefined) await this.#ends.remove(this.#spec.jobId)
    else if (this.#notes.exitCode === undefined) await this.#endInside(0)
  }

  async #look(): Promise<void> {
    const text = await readFile(this.#spec.folder.journal, 'utf8').catch(() => '')
    this.#notes = parseNotes(text)
    if (this.#notes.started !== undefined) this.#announceStart({})
  }
}

/** A torn line is no line. */
function parseNotes(text: string): ContainerNote {
  const notes: ContainerNote = {}
  for (const line of text.split('\n').slice(0, -1)) {
    if (!line.startsWith('container ')) continue
    try {
      Object.assign(notes, JSON.parse(line.slice('container '.length)))
    } catch {
      // Torn.
    }
  }
  return notes
}
