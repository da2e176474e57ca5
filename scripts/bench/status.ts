import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import autocannon from 'autocannon'
import { startHackd } from '../../test/hackd.js'
import { alternate, row, type Scenario } from './scenario.js'

const connections = 32
const seconds = 4

export const status: Scenario = {
  name: 'status',
  about: 'authenticated GET /v1/status against a bare Fastify route with the same payload, 32 connections',
  async measure(bench) {
    const hackd = await startHackd(bench, { config: { gateway: { rateLimit: { perMinute: 1e9 } } } })
    const bare = fork(fileURLToPath(new URL('bare-server.js', import.meta.url)))
    bench.after(() => bare.kill())
    const [bareUrl] = await once(bare, 'message')
    const load = async (url: string, headers: Record<string, string>) => {
      const result = await autocannon({ url, headers, connections, duration: seconds })
      if (result.non2xx > 0 || result.errors > 0) throw new Error(`${url}: ${result.non2xx + result.errors} failed`)
      return { rate: result.requests.average, p99: result.latency.p99 }
    }
    const pairs = await alternate(
      bench.runs,
      () => load(`${hackd.url}/v1/status`, { authorization: `Bearer ${hackd.token}` }),
      () => load(String(bareUrl), {}),
    )
    return [
      row(
        'hackd',
        'requests/s',
        pairs.map(({ ours }) => ours.rate),
      ),
      row(
        'bare Fastify',
        'requests/s',
        pairs.map(({ baseline }) => baseline.rate),
      ),
      row(
        'ratio',
        '×',
        pairs.map(({ ours, baseline }) => ours.rate / baseline.rate),
        { atLeast: 0.8 },
      ),
    ]
  },
}
