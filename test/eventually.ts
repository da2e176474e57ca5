import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'

/** Waits until a condition holds; fails, with what it was waiting for, once it has had more than enough time. */
export async function eventually(what: string, holds: () => boolean | Promise<boolean>, withinMs = 15_000) {
  const deadline = performance.now() + withinMs
  while (!(await holds())) {
    if (performance.now() > deadline) assert.fail(`waited ${withinMs} ms in vain: ${what}`)
    await delay(10)
  }
}
