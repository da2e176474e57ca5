import { setTimeout as delay } from 'node:timers/promises'
import { endProcesses } from './container-processes.js'
import { containerNameOf } from './container-task.js'
import { type EndpointSources, findEndpoint } from './endpoint.js'
import { Engine } from './engine.js'

/** A job's end has to be sent to the engine even while nobody knows whether it answers. */
const deadlineMs = 5000

/** Ends what runs in containers, over connections of its own. Every method throws what the engine says. */
export class ContainerEnds {
  readonly #endpoint: EndpointSources
  /** Jobs whose containers could not be removed when they should have been. */
  readonly #owed = new Set<string>()

  constructor(endpoint: EndpointSources) {
    this.#endpoint = endpoint
  }

  /** Ends a job's processes in a container that lives on. Returns the last signal that was needed. */
  processes(jobId: string, container: string, graceMs: number): Promise<NodeJS.Signals> {
    return this.#with(engine => endProcesses(engine, container, jobId, graceMs))
  }

  /** Ends a job's fresh container, but leaves what is left of it. Returns the last signal that was needed. */
  container(jobId: string, graceMs: number): Promise<NodeJS.Signals> {
    return this.#with(async engine => {
      const container = engine.docker.getContainer(containerNameOf(jobId))
      const kill = (signal: string) =>
        engine
          .call('signal', abortSignal => container.kill({ signal, abortSignal }))
          .catch(error => passIf(error, [404, 409]))
      await kill('SIGTERM')
      const stop = new AbortController()
      const over = container.wait({ abortSignal: stop.signal }).then(Boolean, error => error?.statusCode === 404)
      const ended = await Promise.race([over, delay(graceMs, false, { signal: stop.signal }).catch(() => false)])
      stop.abort()
      if (ended) return 'SIGTERM'
      await kill('SIGKILL')
      return 'SIGKILL'
    })
  }

  /** Removes a job's fresh container, running or not, and those that an engine that was away owes. */
  remove(jobId: string): Promise<void> {
    this.#owed.add(jobId)
    return this.#with(async engine => {
      for (const owed of this.#owed) {
        const container = engine.docker.getContainer(containerNameOf(owed))
        await engine
          .call('removal of the container', abortSignal => container.remove({ force: true, v: true, abortSignal }))
          .catch(error => passIf(error, [404, 409]))
        this.#owed.delete(owed)
      }
    })
  }

  async #with<T>(work: (engine: Engine) => Promise<T>): Promise<T> {
    const engine = await Engine.connect(await findEndpoint(this.#endpoint), deadlineMs)
    try {
      return await work(engine)
    } finally {
      engine.close()
    }
  }
}

/** Gone, or ended, or being removed already: there is nothing left to do. */
function passIf(error: unknown, codes: number[]): void {
  if (!codes.includes((error as { statusCode?: number }).statusCode ?? 0)) throw error
}
