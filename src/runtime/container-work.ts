import { setTimeout as delay } from 'node:timers/promises'
import type Docker from 'dockerode'
import { endProcesses } from './container-processes.js'
import { type ContainerTask, containerNameOf, engineSentence } from './container-task.js'
import type { Engine } from './engine.js'
import { composeLabels } from './snapshot.js'

/** A command in a container. */
export interface ContainerWork {
  container: string
  /** Starts it; what it writes comes in the engine's frames, and what is written becomes its input. */
  start(): Promise<NodeJS.ReadWriteStream>
  /**
   * Resolves with the exit status once it has ended.
   * @param lastWords the end of what it wrote: engines report there what they could not execute
   * @throws NotStarted when there was nothing to execute, Error when nobody can know the status
   */
  exitCode(lastWords: string): Promise<number>
  /** Leaves nothing of it behind. */
  clear(): Promise<void>
}

/** The engine took the command and could not execute it. The sentence that says why has been written as its output. */
export class NotStarted extends Error {}

/** How long an engine that went away in the middle is waited for. */
const awayMs = 30_000

const entries = (environment: Record<string, string>) =>
  Object.entries(environment).map(([name, value]) => `${name}=${value}`)

/**
 * A fresh container of an image. Its argv is the job's alone: the image's entrypoint is not run.
 * @throws Error with the engine's sentence
 */
export async function freshContainer(engine: Engine, task: ContainerTask): Promise<ContainerWork> {
  const { image = '', root } = task.target
  const host = await engine.call('description', () => engine.docker.info())
  const [program = '', ...rest] = task.command
  const container = await engine.call('new container', abortSignal =>
    engine.docker.createContainer({
      name: containerNameOf(task.jobId),
      Image: image,
      Entrypoint: [program],
      Cmd: rest,
      Env: entries(task.environment),
      WorkingDir: task.cwd,
      User: callerIn(host),
      Labels: { 'hackd.job': task.jobId },
      OpenStdin: task.stdin,
      StdinOnce: task.stdin,
      AttachStdin: task.stdin,
      HostConfig: {
        Mounts: [root, task.ownEvents].map(path => ({ Type: 'bind', Source: path, Target: path })),
        // As nobody's pid 1 the command meets signals as it does elsewhere.
        Init: hasInit(host),
        // What it writes goes to the job's own log.
        LogConfig: { Type: 'none', Config: {} },
      },
      abortSignal,
    }),
  )
  return {
    container: container.id,
    async start() {
      const { stdin } = task
      const stream = await engine.call('connection to the container', abortSignal =>
        container.attach({ stream: true, hijack: true, stdin, stdout: true, stderr: true, abortSignal }),
      )
      await engine.call('start of the container', abortSignal => container.start({ abortSignal }))
      return stream
    },
    async exitCode(lastWords) {
      const status = await exitCodeOf(container)
      // Its init reports what it cannot execute as the shell would.
      if (status === 127 && lastWords.startsWith('[FATAL tini')) throw new NotStarted(lastWords)
      return status
    },
    async clear() {
      await engine.call('removal of the container', abortSignal =>
        container.remove({ force: true, v: true, abortSignal }),
      )
    },
  }
}

/** Whom the engine takes for the caller: one without root maps the caller to its containers' root. */
function callerIn(host: { SecurityOptions?: string[] }): string {
  if (host.SecurityOptions?.some(option => option.startsWith('name=rootless'))) return '0:0'
  return `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`
}

function hasInit(host: { InitCommit?: { ID?: unknown } }): boolean {
  const id = host.InitCommit?.ID
  return typeof id === 'string' && id !== 'N/A'
}

/** Registries that ask who is there are asked without a password. @throws Error with the engine's sentence */
export async function pullImage({ docker }: Engine, image: string): Promise<void> {
  let text = ''
  for await (const chunk of (await docker.pull(image)) as AsyncIterable<Buffer>) text += chunk.toString()
  const failure = /^\{.*"error":.*$/m.exec(text)?.[0]
  if (failure) throw new Error(String((JSON.parse(failure) as { error: unknown }).error))
}

async function exitCodeOf(container: Docker.Container): Promise<number> {
  try {
    return (await container.wait()).StatusCode
  } catch {
    // The engine went, or was restarted: what it says when it is back counts, unless we missed some of the output.
  }
  const { State } = await answerOf(() => container.inspect())
  if (State.Running) throw new Error('the engine went away, and the container wrote on meanwhile')
  return State.ExitCode
}

/** Asks until the engine answers. */
async function answerOf<T>(ask: () => Promise<T>): Promise<T> {
  for (const began = performance.now(); ; await delay(500)) {
    try {
      return await ask()
    } catch (error) {
      const answered = (error as { statusCode?: number }).statusCode !== undefined
      if (answered || performance.now() - began > awayMs)
        throw new Error(`the engine does not say how it ended: ${engineSentence(error)}`)
    }
  }
}

/** Inside the running container of a Compose service. @throws Error with the engine's sentence */
export async function serviceExec(engine: Engine, task: ContainerTask): Promise<ContainerWork> {
  const container = engine.docker.getContainer(await findService(engine, task.target))
  const { Mounts } = await engine.call('container', abortSignal => container.inspect({ abortSignal }))
  const workingDir = pathInside(task, Mounts)
  const { HACK_JOB_EVENTS: _, ...environment } = task.environment
  const exec = await engine.call('new exec', abortSignal =>
    container.exec({
      AttachStdin: task.stdin,
      AttachStdout: true,
      AttachStderr: true,
      Env: entries(environment),
      Cmd: task.command,
      ...(workingDir !== undefined && { WorkingDir: workingDir }),
      abortSignal,
    }),
  )
  let ended = false
  return {
    container: container.id,
    start: () =>
      engine.call('start of the exec', abortSignal => exec.start({ hijack: true, stdin: task.stdin, abortSignal })),
    async exitCode(lastWords) {
      for (let pause = 20; ; pause = Math.min(pause * 2, 1000)) {
        const { Running, ExitCode, Pid } = await answerOf(() => exec.inspect())
        if (!Running && ExitCode === null) throw new Error('the engine does not say how it ended')
        ended = !Running
        if (ended && Pid === 0) throw new NotStarted(lastWords || `it was not started, status ${ExitCode}`)
        if (!Running && ExitCode !== null) return ExitCode
        await delay(pause)
      }
    },
    async clear() {
      if (!ended) await endProcesses(engine, container.id, task.jobId, 0)
    },
  }
}

async function findService(engine: Engine, { service = '', composeProject }: ContainerTask['target']): Promise<string> {
  const label = [
    `${composeLabels.project}=${composeProject}`,
    `${composeLabels.service}=${service}`,
    `${composeLabels.oneOff}=False`,
  ]
  const found = await engine.call('list of containers', abortSignal =>
    engine.docker.listContainers({ filters: { label, status: ['running'] }, abortSignal }),
  )
  const [first] = found.sort((a, b) => numberOf(a) - numberOf(b))
  if (!first) throw new Error(`the service "${service}" of "${composeProject}" has no running container`)
  return first.Id
}

const numberOf = ({ Labels }: Docker.ContainerInfo) => Number(Labels['com.docker.compose.container-number'] ?? 0)

/** Where the container sees the job's folder. Undefined where it does not, and none in particular was asked for. */
function pathInside({ cwd, target }: ContainerTask, mounts: Docker.ContainerInspectInfo['Mounts']): string | undefined {
  const [mount] = mounts
    .filter(({ Source }) => cwd === Source || cwd.startsWith(`${Source}/`))
    .sort((a, b) => b.Source.length - a.Source.length)
  if (mount) return mount.Destination + cwd.slice(mount.Source.length)
  if (cwd === target.root) return undefined
  throw new Error(`the service's container does not see ${cwd}: mount it, or leave "cwd" out`)
}
