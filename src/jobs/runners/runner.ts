import type { ContainerTarget } from '../container-target.js'
import type { JobFolder } from '../job-folder.js'

/** All that a runner needs to know of a job. */
export interface RunSpec {
  jobId: string
  folder: JobFolder
  command: string[]
  /** Absolute, symlinks resolved. */
  cwd: string
  /** Complete: nothing is added to it. */
  environment: Record<string, string>
  /** What of it is the job's own: its `env` and the marks that hackd adds. */
  ownEnvironment: Record<string, string>
  /** For a job that was asked for in a container. */
  container?: ContainerTarget
  /** Whether the job has an input that can be written to. */
  stdin: boolean
  /** The run fails with `log_limit` when its log would grow past this. */
  logsMaxBytes: number
  /** Milliseconds between the polite and the final signal, wherever the runner itself has to end the run. */
  graceMs: number
}

/** How a run ended. `exitCode` 128+n stands for signal n. */
export interface RunEnd {
  exitCode?: number
  failure?: 'spawn_error' | 'log_limit' | 'storage_error' | 'lost'
  /** A sentence for people, where there is more to say. */
  error?: string
}

/** A command that runs, or ran, beside hackd. */
export interface Run {
  /** Resolves when the command is about to be executed. Never rejects; never resolves for a run that failed earlier. */
  readonly started: Promise<{ pid?: number }>
  /** Resolves when the command is over and every byte that it wrote is in the log. Never rejects. */
  readonly ended: Promise<RunEnd>
  /** Looks again: true when the command has ended by now, though `ended` may still wait for its last bytes. */
  isOver(): Promise<boolean>
  /** Ends everything that belongs to the run, and resolves with the last signal that took. */
  end(graceMs: number): Promise<NodeJS.Signals>
  /** Hands bytes to the command's input, and closes it after `eof`. @throws GatewayError stdin_closed, queue_full */
  input(data: Uint8Array, eof: boolean): Promise<void>
  /** Stops watching. The run itself goes on. */
  close(): void
}

/** A way to run jobs. One file each; the supervisor knows no more of them than this. */
export interface Runner {
  readonly name: string
  /** @throws Error whose message goes on record, as `spawn_error` or, with a full disk, `storage_error` */
  start(spec: RunSpec): Promise<Run>
  /** Finds what `start` of an earlier hackd began: alive, or ended meanwhile. Undefined when nothing was begun. */
  adopt(spec: RunSpec): Promise<Run | undefined>
}
