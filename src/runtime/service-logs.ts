import type { ServiceLogQuery } from '../../schemas/runtime.js'
import { GatewayError } from '../errors.js'
import type { ComposeViews } from './compose-views.js'
import { type LogStart, openContainerLog } from './container-log.js'
import { mergeLines } from './merge-lines.js'
import type { Runtime } from './runtime.js'
import { type LogPeer, ServiceLogSession } from './service-log-session.js'

/** What the containers of a service write. */
export class ServiceLogs {
  readonly #runtime: Runtime
  readonly #views: ComposeViews

  constructor(runtime: Runtime, views: ComposeViews) {
    this.#runtime = runtime
    this.#views = views
  }

  /** Refuses what cannot be streamed. @throws GatewayError `runtime_unavailable`, `not_found` */
  check(projectId: string, service: string, query: ServiceLogQuery): void {
    this.#views.containers(projectId, service, query)
  }

  /**
   * The logs of all containers that the service has now, line by line where there are several, until the last of them ends.
   * @throws GatewayError `runtime_unavailable`, `not_found`; the bytes throw the former as well
   */
  async open(
    projectId: string,
    service: string,
    query: ServiceLogQuery & LogStart,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Buffer>> {
    const containers = this.#views.containers(projectId, service, query)
    const { engine } = this.#runtime
    if (!engine) throw new GatewayError('runtime_unavailable')
    const abort = new AbortController()
    signal.addEventListener('abort', () => abort.abort(), { once: true, signal: abort.signal })
    if (signal.aborted) abort.abort()
    try {
      const logs = await Promise.all(containers.map(({ id }) => openContainerLog(engine, id, query, abort.signal)))
      return guarded(mergeLines(logs), abort)
    } catch (error) {
      abort.abort()
      throw unavailable(error)
    }
  }

  /** One client's stream of a service's log. */
  session(projectId: string, service: string, query: ServiceLogQuery, peer: LogPeer): ServiceLogSession {
    const open = (start: Omit<LogStart, 'follow'>, signal: AbortSignal) =>
      this.open(projectId, service, { ...query, ...start, follow: true }, signal)
    return new ServiceLogSession(open, peer)
  }
}

/** Ends what it reads from with itself, however it ends. */
async function* guarded(bytes: AsyncIterable<Buffer>, abort: AbortController): AsyncGenerator<Buffer> {
  try {
    yield* bytes
  } catch (error) {
    throw unavailable(error)
  } finally {
    abort.abort()
  }
}

function unavailable(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error
  const sentence = error instanceof Error ? error.message.trim() : String(error)
  return new GatewayError('runtime_unavailable', `The engine does not give the log: ${sentence}`, { cause: error })
}
