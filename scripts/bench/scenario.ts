import type { Cleanup } from '../../test/temporary-folder.js'

/** One figure of a scenario, over all its runs. */
export interface Row {
  what: string
  /** The median of the runs. */
  value: number
  unit: string
  /** Lowest and highest run. */
  spread: [number, number]
  /** What was promised, where something was: the value must be at least, or at most, this. */
  target?: { atLeast: number } | { atMost: number }
}

/** What a scenario is given: where to leave what has to be undone, and how often to measure. */
export interface Bench extends Cleanup {
  runs: number
}

/** A file of this folder: it measures one thing, against a baseline of its own in the same run wherever there is one. */
export interface Scenario {
  name: string
  about: string
  measure(bench: Bench): Promise<Row[]>
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 ? (sorted[middle] ?? Number.NaN) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

/** The value below which `share` (0 to 1) of the values lie. */
export function percentile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export function row(what: string, unit: string, values: number[], target?: Row['target']): Row {
  const spread: [number, number] = [Math.min(...values), Math.max(...values)]
  return { what, unit, value: median(values), spread, ...(target && { target }) }
}

/** Measures both sides by turns, after one turn of each that does not count, so that drift hits them alike. */
export async function alternate<T>(runs: number, ours: () => Promise<T>, baseline: () => Promise<T>) {
  await baseline()
  await ours()
  const pairs: { ours: T; baseline: T }[] = []
  for (let run = 0; run < runs; run++)
    pairs.push(
      run % 2 ? { ours: await ours(), baseline: await baseline() } : { baseline: await baseline(), ours: await ours() },
    )
  return pairs
}
