import { setTimeout as delay } from 'node:timers/promises'
import { startHackd } from '../../test/hackd.js'
import { residentMiB } from './resident.js'
import { row, type Scenario } from './scenario.js'

const jobs = 500

export const startUp: Scenario = {
  name: 'start-up',
  about: `start to ready with ${jobs} finished jobs on disk, and memory at rest`,
  async measure(bench) {
    const hackd = await startHackd(bench, { config: { gateway: { rateLimit: { perMinute: 1e9 } } } })
    for (let batch = 0; batch < jobs / 20; batch++) {
      const created = await Promise.all(Array.from({ length: 20 }, () => hackd.createJob({ command: ['/bin/true'] })))
      for (const { jobId } of created) await hackd.ended(jobId)
    }
    const times: number[] = []
    const resident: number[] = []
    for (let run = 0; run <= bench.runs; run++) {
      await hackd.kill('SIGTERM')
      const start = performance.now()
      await hackd.start()
      if (run === 0) continue
      times.push(performance.now() - start)
      await delay(500)
      resident.push(residentMiB(hackd))
    }
    return [
      row('start to ready', 'ms', times, { atMost: 500 }),
      row('resident at rest', 'MiB', resident, { atMost: 90 }),
    ]
  },
}
