/** One command in a container, as container-program.ts is told of it. */
export interface ContainerTask {
  jobId: string
  command: string[]
  environment: Record<string, string>
  /** On this machine; a fresh container sees the project at its own path. */
  cwd: string
  stdin: boolean
  target: { service?: string; image?: string; pull: boolean; composeProject: string; root: string }
  /** `runtime.dockerHost` of the config. */
  dockerHost?: string
  /** The file that gets a line for each note. */
  journal: string
  /** The file to which the command may append events of its own; a fresh container sees it at its own path. */
  ownEvents: string
}

/** What the program puts on record, each in a line of its own: `container {…}`. */
export interface ContainerNote {
  /** The container in which the command runs by now. */
  started?: string
  exitCode?: number
  failure?: 'spawn_error' | 'lost'
  /** The engine's sentence, or ours. */
  error?: string
}

/** The name of a job's fresh container. */
export const containerNameOf = (jobId: string) => `hackd-${jobId}`

/** What the engine said, without dockerode's frame around it. */
export function engineSentence(error: unknown): string {
  const said = (error as { json?: { message?: unknown } }).json?.message
  if (typeof said === 'string') return said.trim()
  return (error instanceof Error ? error.message : String(error)).trim()
}
