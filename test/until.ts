import { setTimeout as delay } from 'node:timers/promises'

/** Waits for a condition, however slow the machine is. */
export async function until(condition: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> {
  const deadline = performance.now() + withinMs
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('the condition never came true')
    await delay(5)
  }
}
