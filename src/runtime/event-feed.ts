import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { backOff } from './back-off.js'
import type { Engine } from './engine.js'

/**
 * What happens inside a container, or to its streams, changes no row of a list. Nor does a signal: if it ends the container,
 * `die` follows.
 */
const silent = /^(exec_|kill|oom|attach|detach|resize|top|copy|export|commit|archive-path|extract-to-dir)/

/** A line longer than this is no event of an engine. */
const longestLine = 2 ** 20

/**
 * Follows the events of one engine at a time and says when something may have changed: on an event, when the stream opens (what
 * happened before is unknown) and when it breaks. A broken stream is taken up again from the last event on.
 */
export class EventFeed {
  readonly #changed: () => void
  #following: AbortController | undefined
  #last = 0
  #seen = 0

  constructor(changed: () => void) {
    this.#changed = changed
  }

  /** How many events arrived, each counted once. */
  get seen(): number {
    return this.#seen
  }

  /** When the last event happened by the engine's clock, in milliseconds since the epoch. */
  get lastAt(): number | undefined {
    return this.#last === 0 ? undefined : this.#last / 1e6
  }

  /** Follows `engine` from now on, and no other. */
  follow(engine: Engine): void {
    this.stop()
    this.#following = new AbortController()
    void this.#follow(engine, this.#following.signal)
  }

  stop(): void {
    this.#following?.abort()
    this.#following = undefined
  }

  async #follow(engine: Engine, signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; failures++) {
      const seen = this.#seen
      try {
        const stream = await engine.events(this.#last === 0 ? undefined : this.#last / 1e9, signal)
        this.#changed()
        for await (const line of lines(stream)) this.#take(line)
      } catch {
        // The engine went, or we stopped. Whoever asked is told the same either way: look again.
      }
      if (signal.aborted) return
      this.#changed()
      if (this.#seen > seen) failures = 0
      await delay(backOff(failures), undefined, { signal }).catch(() => undefined)
    }
  }

  #take(line: string): void {
    const event = parseEvent(line)
    // `since` is inclusive: the event that it names arrives again.
    if (!event || event.nano <= this.#last) return
    this.#last = event.nano
    this.#seen++
    if (!silent.test(event.action)) this.#changed()
  }
}

function parseEvent(line: string): { action: string; nano: number } | undefined {
  try {
    const event: unknown = JSON.parse(line)
    if (typeof event !== 'object' || event === null) return undefined
    const { Action, status, timeNano, time } = event as Record<string, unknown>
    return { action: String(Action ?? status ?? ''), nano: Number(timeNano ?? Number(time) * 1e9) || 0 }
  } catch {
    return undefined
  }
}

async function* lines(stream: Readable): AsyncGenerator<string> {
  let rest = ''
  for await (const text of stream.setEncoding('utf8') as AsyncIterable<string>) {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    if (rest.length > longestLine) throw new Error('an event of over 1 MiB')
    yield* parts.filter(part => part !== '')
  }
}
