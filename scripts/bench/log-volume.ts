import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { type Hackd, startHackd } from '../../test/hackd.js'
import { residentMiB } from './resident.js'
import { alternate, type Bench, type Row, row, type Scenario } from './scenario.js'

const bytes = 2 ** 30
/** Lines of text, as logs are: zeros would measure how JSON escapes them. */
const command = [
  'sh',
  '-c',
  `yes 'a line of a log that is neither very short nor very long, 0123456789' | head -c ${bytes}`,
]

export const logVolume: Scenario = {
  name: 'log-volume',
  about: 'a job that writes 1 GiB, against the same command piped through cat into a file',
  async measure(bench) {
    const hackd = await startHackd(bench)
    const pairs = await alternate(
      bench.runs,
      () => asJob(hackd),
      () => asPipe(hackd),
    )
    return [
      row(
        'as a job',
        's',
        pairs.map(({ ours }) => ours),
      ),
      row(
        'piped through cat',
        's',
        pairs.map(({ baseline }) => baseline),
      ),
      row(
        'ratio',
        '×',
        pairs.map(({ ours, baseline }) => ours / baseline),
        { atMost: 1.1 },
      ),
      ...(await followed(bench, hackd)),
    ]
  },
}

/** Nobody follows: the record alone says how long it took, from the request to the end. */
async function asJob(hackd: Hackd): Promise<number> {
  const { jobId } = await hackd.createJob({ command })
  // Asked seldom: on two cores every request is a part of what is measured.
  while ((await hackd.job(jobId)).finishedAt === undefined) await delay(250)
  const { createdAt, finishedAt = '', logsBytes } = await hackd.job(jobId)
  if (logsBytes !== bytes) throw new Error(`the log has ${logsBytes} bytes`)
  // The space goes back before the next turn, for both sides alike.
  truncateSync(join(hackd.home.jobs, hackd.projectId, jobId, 'combined.log'))
  return (Date.parse(finishedAt) - Date.parse(createdAt)) / 1000
}

async function asPipe(hackd: Hackd): Promise<number> {
  const file = join(hackd.repo, 'baseline')
  const start = performance.now()
  await once(spawn('sh', ['-c', '"$@" | cat >"$0"', file, ...command]), 'exit')
  const seconds = (performance.now() - start) / 1000
  rmSync(file)
  return seconds
}

/** One follower takes it all while it is written; hackd's memory is looked at all the while. */
async function followed(bench: Bench, hackd: Hackd): Promise<Row[]> {
  const grown: number[] = []
  const rates: number[] = []
  for (let run = 0; run < Math.min(bench.runs, 3); run++) {
    const before = residentMiB(hackd)
    let peak = before
    const watch = setInterval(() => {
      peak = Math.max(peak, residentMiB(hackd))
    }, 50)
    const start = performance.now()
    const { jobId } = await hackd.createJob({ command })
    const received = await count(hackd, jobId)
    clearInterval(watch)
    if (received !== bytes) throw new Error(`${received} bytes came`)
    rates.push(bytes / 2 ** 20 / ((performance.now() - start) / 1000))
    grown.push(peak - before)
  }
  return [
    row('with one follower', 'MiB/s', rates),
    row("with one follower: hackd's memory grows by", 'MiB', grown, { atMost: 32 }),
  ]
}

/** A client as cheap as can be: it reads the offset out of each frame and drops the rest. */
async function count(hackd: Hackd, jobId: string): Promise<number> {
  const url = `${hackd.url.replace('http', 'ws')}${hackd.jobs(`/${jobId}/stream`)}`
  const socket = new WebSocket(url, { headers: { authorization: `Bearer ${hackd.token}` } })
  let offset = 0
  socket.on('message', (data: Buffer) => {
    const head = data.toString('latin1', 0, 80)
    offset = Number(/^\{"type":"log","stream":"combined","offset":(\d+)/.exec(head)?.[1] ?? offset)
  })
  await once(socket, 'open')
  socket.send('{"type":"hello"}')
  await once(socket, 'close')
  return offset
}
