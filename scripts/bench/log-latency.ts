import { startHackd } from '../../test/hackd.js'
import { percentile, row, type Scenario } from './scenario.js'

const lines = 200

/** Writes a line with its own clock (CLOCK_MONOTONIC, the same in every process) every 10 ms. */
const writer = `let n = 0; const timer = setInterval(() => {
  process.stdout.write(process.hrtime.bigint() + '\\n'); if (++n === ${lines}) clearInterval(timer) }, 10)`

export const logLatency: Scenario = {
  name: 'log-latency',
  about: 'a line written by a job → its frame received by a client',
  async measure(bench) {
    const hackd = await startHackd(bench)
    const p50s: number[] = []
    const p99s: number[] = []
    for (let run = 0; run <= bench.runs; run++) {
      const job = await hackd.createJob({ command: [process.execPath, '-e', writer] })
      const stream = hackd.stream(job.jobId)
      const delays: number[] = []
      stream.socket.on('message', data => {
        const now = process.hrtime.bigint()
        const frame = JSON.parse(String(data))
        if (frame.type !== 'log') return
        for (const line of frame.data.split('\n')) if (line !== '') delays.push(Number(now - BigInt(line)) / 1e6)
      })
      await stream.hello()
      await stream.closed
      if (delays.length !== lines) throw new Error(`${delays.length} of ${lines} lines came`)
      if (run === 0) continue
      p50s.push(percentile(delays, 0.5))
      p99s.push(percentile(delays, 0.99))
    }
    return [row('p50', 'ms', p50s, { atMost: 3 }), row('p99', 'ms', p99s, { atMost: 20 })]
  },
}
