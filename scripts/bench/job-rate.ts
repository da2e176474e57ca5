import { startHackd } from '../../test/hackd.js'
import { row, type Scenario } from './scenario.js'

const jobs = 300
/** How many requests are under way at once: enough to keep the queue filled. */
const clients = 16

export const jobRate: Scenario = {
  name: 'job-rate',
  about: `${jobs} × /bin/true, 4 at a time, created over HTTP and finished`,
  async measure(bench) {
    const hackd = await startHackd(bench, { config: { gateway: { rateLimit: { perMinute: 1e9 } } } })
    const rates: number[] = []
    for (let run = 0; run <= bench.runs; run++) {
      const start = performance.now()
      let left = jobs
      let last = ''
      await Promise.all(
        Array.from({ length: clients }, async () => {
          while (left-- > 0) last = (await hackd.createJob({ command: ['/bin/true'] })).jobId
        }),
      )
      // The last one created is the last in the queue; a few may end after it.
      await hackd.ended(last)
      while ((await hackd.call('GET', `${hackd.jobs()}?status=running&limit=1`)).body.jobs.length > 0);
      if (run > 0) rates.push(jobs / ((performance.now() - start) / 1000))
    }
    return [row('created and finished', 'jobs/s', rates, { atLeast: 100 })]
  },
}
