import { readFileSync } from 'node:fs'
import type { Hackd } from '../../test/hackd.js'

/** Resident memory of hackd in MiB (proc(5), VmRSS). */
export function residentMiB(hackd: Hackd): number {
  const status = readFileSync(`/proc/${hackd.child?.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
}
