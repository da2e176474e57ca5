import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { GatewayError, systemCode } from '../../errors.js'
import { isAlive, isDead, readStat } from '../../processes/identity.js'
import { endTree, findTree, signalProcess, type TreeQuery } from '../../processes/tree.js'
import { FileChanges } from '../../storage/file-changes.js'
import { InputPipe } from './input-pipe.js'
import { type Journal, parseJournal } from './journal.js'
import { findProgram } from './program.js'
import type { Run, RunEnd, Runner, RunSpec } from './runner.js'

const wrapperPath = fileURLToPath(new URL('job-wrapper.sh', import.meta.url))

/** A wrapper that has not written its first line by then never will. */
const wrapperStartMs = 20_000

/** RLIMIT_FSIZE is set in blocks of this many bytes (ulimit, POSIX). */
const blockBytes = 512

/** Runs a command on this machine, beside hackd: see job-wrapper.sh for who is who. */
export class GenericRunner implements Runner {
  readonly name = 'generic'
  /** The wrapper's own programs, found once by hackd's PATH: the job's environment must not choose them. */
  readonly #tools: Promise<string[]>

  constructor(path: string | undefined) {
    this.#tools = Promise.all(['cat', 'setsid', 'mkfifo', 'sleep'].map(tool => findTool(tool, path)))
    this.#tools.catch(() => undefined)
  }

  async start(spec: RunSpec): Promise<Run> {
    const [program = ''] = spec.command
    if (!(await findProgram(program, spec.environment.PATH, spec.cwd)))
      throw new Error(`there is no executable program "${program}" in the job's PATH`)
    const blocks = Math.ceil(spec.logsMaxBytes / blockBytes)
    const input = spec.stdin ? spec.folder.input : '/dev/null'
    const tools = await this.#tools
    const run = new GenericRun(spec)
    try {
      const child = spawn(
        '/bin/sh',
        [wrapperPath, spec.folder.log, spec.folder.journal, String(blocks), input, ...tools, ...spec.command],
        { cwd: spec.cwd, env: spec.environment, detached: true, stdio: 'ignore' },
      )
      child.unref()
      // Its exit is only a hint to look again: the journal alone says what happened.
      child.once('exit', () => void run.look())
      await once(child, 'spawn')
      return run
    } catch (error) {
      run.close()
      throw error
    }
  }

  async adopt(spec: RunSpec): Promise<Run | undefined> {
    const begun = async () => parseJournal(await readFile(spec.folder.journal, 'utf8')).wrapper !== undefined
    // A wrapper that was spawned a moment before the crash may not have written yet; one that is not to be seen
    // may have come to its end between the two looks.
    const isThere = async () => (await findTree({ mark: markOf(spec) })).length > 0
    if (!(await begun()) && !(await isThere()) && !(await begun())) return undefined
    const run = new GenericRun(spec)
    await run.look()
    return run
  }
}

async function findTool(tool: string, path: string | undefined): Promise<string> {
  const found = await findProgram(tool, path, '/')
  if (!found) throw new GatewayError('internal_error', `Jobs need the program "${tool}", which is not in hackd's PATH.`)
  return found
}

const markOf = (spec: RunSpec) => `HACK_JOB_ID=${spec.jobId}`

class GenericRun implements Run {
  readonly started: Promise<{ pid: number }>
  readonly ended: Promise<RunEnd>
  readonly #spec: RunSpec
  readonly #input: InputPipe
  readonly #changes: FileChanges
  readonly #born = performance.now()
  #journal: Journal = {}
  #inputClosed: boolean
  #looking: Promise<void> | undefined
  #again = false
  #settling = false
  #announceStart: (start: { pid: number }) => void = () => undefined
  #announceEnd: (end: RunEnd) => void = () => undefined

  constructor(spec: RunSpec) {
    this.#spec = spec
    this.#input = new InputPipe(spec.folder.input)
    this.#inputClosed = !spec.stdin
    this.started = new Promise(resolve => {
      this.#announceStart = resolve
    })
    this.ended = new Promise(resolve => {
      this.#announceEnd = resolve
    })
    this.#changes = new FileChanges(spec.folder.journal, () => void this.look())
  }

  get #query(): TreeQuery {
    return { mark: markOf(this.#spec), leader: this.#journal.job, spareSession: this.#journal.wrapper?.pid }
  }

  async isOver(): Promise<boolean> {
    await this.look()
    return this.#settling
  }

  async end(graceMs: number): Promise<NodeJS.Signals> {
    await this.look()
    const signal = await endTree({ query: this.#query, first: 'SIGTERM', graceMs })
    await this.look()
    return signal
  }

  async input(data: Uint8Array, eof: boolean): Promise<void> {
    const { holder } = this.#journal
    if (this.#inputClosed || !holder || !isAlive(holder)) throw new GatewayError('stdin_closed')
    if (data.length > 0) await this.#input.write(data)
    if (!eof) return
    this.#inputClosed = true
    // The command sees the end of its input when the last writing end closes: ours, then the holder's.
    void this.#input.end().then(() => isAlive(holder) && signalProcess(holder.pid, 'SIGTERM'))
  }

  close(): void {
    this.#changes.close()
    this.#input.close()
  }

  /** Reads the journal and acts on what is new. One look at a time; a call during a look causes one more. */
  look(): Promise<void> {
    if (this.#looking) {
      this.#again = true
      return this.#looking
    }
    this.#looking = this.#lookOnce().finally(() => {
      this.#looking = undefined
      if (this.#again) {
        this.#again = false
        return this.look()
      }
      return undefined
    })
    return this.#looking
  }

  async #lookOnce(): Promise<void> {
    if (this.#settling) return
    // Asked before the journal is read: a wrapper that is gone by now has written all that it ever will.
    const gone = this.#isGone()
    if (!(await this.#readJournal())) return
    const { job, exited, written } = this.#journal
    if (job) this.#announceStart({ pid: job.pid })
    if (exited !== undefined) this.#settle({ exitCode: exited })
    else if (written !== undefined && written !== 0) this.#settle({ failure: 'storage_error' })
    else if (gone)
      this.#settle({ failure: 'lost', error: 'its supervising process is gone without a record of the end' })
  }

  #isGone(): boolean {
    const { wrapper, job } = this.#journal
    if (!wrapper) return performance.now() - this.#born > wrapperStartMs
    return !isAlive(wrapper) && !(job && isAlive(job))
  }

  /** False when it cannot be read now, for want of descriptors say: then it says nothing of the run. */
  async #readJournal(): Promise<boolean> {
    try {
      this.#journal = { ...this.#journal, ...parseJournal(await readFile(this.#spec.folder.journal, 'utf8')) }
      return true
    } catch (error) {
      return systemCode(error) === 'ENOENT'
    }
  }

  #settle(end: RunEnd): void {
    this.#settling = true
    this.#conclude(end).then(
      conclusion => {
        this.#announceEnd(conclusion)
        this.close()
      },
      () => {
        // What kept it from being concluded will pass: the next look tries again.
        this.#settling = false
      },
    )
  }

  /** Waits for the last byte, and lets a failure of the log outrank the exit status. */
  async #conclude(end: RunEnd): Promise<RunEnd> {
    if (end.failure === 'storage_error')
      await endTree({ query: this.#query, first: 'SIGTERM', graceMs: this.#spec.graceMs })
    await this.#drained()
    await this.#readJournal()
    const { holder, written = 0, exited } = this.#journal
    if (holder && isAlive(holder)) signalProcess(holder.pid, 'SIGTERM')
    const status = exited === undefined ? {} : { exitCode: exited }
    if (written === 0) return { ...status, ...end }
    return { ...status, ...(await this.#logFailure()) }
  }

  async #logFailure(): Promise<RunEnd> {
    const size = await stat(this.#spec.folder.log).then(
      found => found.size,
      () => 0,
    )
    if (size >= this.#spec.logsMaxBytes)
      return {
        failure: 'log_limit',
        error: `its log reached ${this.#spec.logsMaxBytes} bytes (supervisor.logsMaxBytes)`,
      }
    return { failure: 'storage_error', error: 'its log could not be written; is the disk full?' }
  }

  /**
   * Resolves when everything that was written before the command ended is in the log: the writer has ended, or it
   * sleeps. It sleeps only in read(2) on an empty pipe, which a descendant that was left behind holds open.
   * Nobody's child but init's, it sends us no event: look, soon at first.
   */
  async #drained(): Promise<void> {
    for (let pause = 1; ; pause = Math.min(pause * 2, 50)) {
      const { writer, wrapper, written } = this.#journal
      if (written !== undefined) return
      const now = writer && readStat(writer.pid)
      const reads = now !== undefined && now.startTime === writer?.startTime && !isDead(now)
      if (reads ? now.state === 'S' : !(wrapper && isAlive(wrapper))) return
      await delay(pause)
      await this.#readJournal()
    }
  }
}
