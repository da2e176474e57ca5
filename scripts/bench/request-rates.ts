import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import autocannon from 'autocannon'
import type { Hackd } from '../../test/hackd.js'
import { alternate, type Bench, type Row, row } from './scenario.js'

const connections = 32
const seconds = 4

/** Requests a second of one route of hackd against those of bare-server.ts, which answers with the payload in that file. */
export async function compareRates(
  bench: Bench,
  { hackd, path, payload, atLeast }: { hackd: Hackd; path: string; payload?: string; atLeast: number },
): Promise<Row[]> {
  const bare = fork(fileURLToPath(new URL('bare-server.js', import.meta.url)), payload === undefined ? [] : [payload])
  bench.after(() => bare.kill())
  const [bareUrl] = await once(bare, 'message')
  const pairs = await alternate(
    bench.runs,
    () => load(`${hackd.url}${path}`, { authorization: `Bearer ${hackd.token}` }),
    () => load(String(bareUrl), {}),
  )
  const ours = pairs.map(pair => pair.ours)
  const ratios = pairs.map(pair => pair.ours / pair.baseline)
  return [
    row('hackd', 'requests/s', ours),
    row(
      'bare Fastify',
      'requests/s',
      pairs.map(({ baseline }) => baseline),
    ),
    row('ratio', '×', ratios, { atLeast }),
  ]
}

async function load(url: string, headers: Record<string, string>): Promise<number> {
  const result = await autocannon({ url, headers, connections, duration: seconds })
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${url}: ${result.non2xx + result.errors} failed`)
  return result.requests.average
}
