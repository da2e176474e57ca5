import { createHash } from 'node:crypto'
import { readdirSync, readlinkSync } from 'node:fs'
import { startHackd } from '../../test/hackd.js'
import { residentMiB } from './resident.js'
import { row, type Scenario } from './scenario.js'

const count = 200
const lines = 20_000

export const followers: Scenario = {
  name: 'followers',
  about: `${count} followers on one job that writes ${lines} lines`,
  async measure(bench) {
    const hackd = await startHackd(bench, { config: { gateway: { rateLimit: { perMinute: 1e9 } } } })
    const rates: number[] = []
    const grown: number[] = []
    const watches: number[] = []
    for (let run = 0; run <= Math.min(bench.runs, 3); run++) {
      const before = residentMiB(hackd)
      const script = `read go; for i in {1..${lines}}; do echo "line $i of a job that many follow"; done`
      const { jobId } = await hackd.createJob({ command: ['bash', '-c', script], stdin: true })
      const streams = await Promise.all(Array.from({ length: count }, () => hackd.stream(jobId).hello()))
      await Promise.all(streams.map(stream => stream.frame('ready')))
      const start = performance.now()
      await hackd.call('POST', hackd.jobs(`/${jobId}/input`), { data: 'go\n' })
      await Promise.all(streams.map(stream => stream.closed))
      const seconds = (performance.now() - start) / 1000
      const hashes = new Set(streams.map(stream => createHash('sha256').update(stream.text).digest('hex')))
      const bytes = streams[0]?.offset ?? 0
      if (hashes.size !== 1 || bytes !== (await hackd.job(jobId)).logsBytes) throw new Error('the followers differ')
      if (run === 0) continue
      rates.push((bytes * count) / 2 ** 20 / seconds)
      grown.push(residentMiB(hackd) - before)
      watches.push(inotifyDescriptors(hackd.child?.pid))
    }
    return [
      row('delivered to all, identical', 'MiB/s', rates),
      row("hackd's memory grows by", 'MiB', grown),
      row('inotify descriptors', '', watches),
    ]
  },
}

function inotifyDescriptors(pid: number | undefined): number {
  return readdirSync(`/proc/${pid}/fd`).filter(fd => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).includes('inotify')
    } catch {
      return false
    }
  }).length
}
