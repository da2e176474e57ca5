/** Wakes whoever waits for a change. A waiter names the version it has seen, so it never sleeps through a ring. */
export class Bell {
  #version = 0
  readonly #waiters = new Set<() => void>()

  get version(): number {
    return this.#version
  }

  ring(): void {
    this.#version++
    const woken = [...this.#waiters]
    this.#waiters.clear()
    for (const wake of woken) wake()
  }

  /** Resolves at the first ring after version `seen`, or when `signal` aborts. */
  wait(seen: number, signal: AbortSignal): Promise<void> {
    if (this.#version !== seen || signal.aborted) return Promise.resolve()
    return new Promise(resolve => {
      const wake = () => {
        signal.removeEventListener('abort', wake)
        this.#waiters.delete(wake)
        resolve()
      }
      this.#waiters.add(wake)
      signal.addEventListener('abort', wake)
    })
  }
}
