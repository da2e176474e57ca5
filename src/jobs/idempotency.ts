import { createHash } from 'node:crypto'
import { GatewayError } from '../errors.js'
import type { IdempotencyMark } from './job-folder.js'

const keepMs = 24 * 60 * 60 * 1000

/**
 * Which job an Idempotency-Key stands for, per owner and project. The mark itself is kept in the job's own folder;
 * this index is rebuilt from there.
 */
export class IdempotencyKeys {
  readonly #jobs = new Map<string, { digest: string; jobId: string; at: number }>()
  readonly #pending = new Map<string, Promise<unknown>>()

  add(projectId: string, mark: IdempotencyMark, jobId: string, at: number): void {
    if (at > Date.now() - keepMs) this.#jobs.set(slot(projectId, mark), { digest: mark.digest, jobId, at })
  }

  /** The job that this request made before. @throws GatewayError idempotency_conflict when its body was another. */
  find(projectId: string, mark: IdempotencyMark): string | undefined {
    const known = this.#jobs.get(slot(projectId, mark))
    if (!known || known.at <= Date.now() - keepMs) return undefined
    if (known.digest !== mark.digest) throw new GatewayError('idempotency_conflict')
    return known.jobId
  }

  /** Runs `step` alone among those with the same key. */
  async alone<T>(projectId: string, mark: IdempotencyMark | undefined, step: () => Promise<T>): Promise<T> {
    if (!mark) return step()
    const key = slot(projectId, mark)
    const turn = (this.#pending.get(key) ?? Promise.resolve()).then(step, step)
    this.#pending.set(key, turn)
    try {
      return await turn
    } finally {
      if (this.#pending.get(key) === turn) this.#pending.delete(key)
    }
  }

  /** Forgets what is older than 24 hours. */
  prune(): void {
    for (const [key, { at }] of this.#jobs) if (at <= Date.now() - keepMs) this.#jobs.delete(key)
  }
}

const slot = (projectId: string, { owner, key }: IdempotencyMark) => JSON.stringify([projectId, owner, key])

/** A digest of a body that does not depend on the order of its keys. */
export function bodyDigest(body: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(body)))
    .digest('hex')
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => [key, sorted(inner)])
}
