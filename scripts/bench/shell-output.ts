import { alternate, type Bench, row, type Scenario } from './scenario.js'
import { cpuSeconds, flood, hackdTerminals, relayTerminals, type Terminals } from './terminals.js'

const bytes = 192 * 2 ** 20

export const shellOutput: Scenario = {
  name: 'shell-output',
  about: '192 MiB of terminal output to one viewer, against a relay of 40 lines that does nothing else',
  async measure(bench: Bench) {
    const ours = await hackdTerminals(bench)
    const relay = await relayTerminals(bench, ours.hackd.repo)
    const pairs = await alternate(
      bench.runs,
      () => pour(ours),
      () => pour(relay),
    )
    const each = (figure: (pair: (typeof pairs)[number]) => number) => pairs.map(figure)
    return [
      row(
        'hackd',
        'MB/s',
        each(({ ours }) => ours.rate),
      ),
      row(
        'relay',
        'MB/s',
        each(({ baseline }) => baseline.rate),
      ),
      row(
        'ratio',
        '×',
        each(({ ours, baseline }) => ours.rate / baseline.rate),
        { atLeast: 1.05 },
      ),
      row(
        'hackd, user CPU',
        's',
        each(({ ours }) => ours.user),
      ),
      row(
        'relay, user CPU',
        's',
        each(({ baseline }) => baseline.user),
      ),
      row(
        'ratio of user CPU per byte',
        '×',
        each(({ ours, baseline }) => ours.user / baseline.user),
        { atMost: 0.8 },
      ),
      row(
        'hackd, system CPU',
        's',
        each(({ ours }) => ours.system),
      ),
      row(
        'relay, system CPU',
        's',
        each(({ baseline }) => baseline.system),
      ),
    ]
  },
}

async function pour(terminals: Terminals) {
  const client = await terminals.run(flood(bytes))
  await client.ask('', 'ready')
  const before = cpuSeconds(terminals.pid)
  const from = client.received
  const start = performance.now()
  await client.ask('go\n', 'END')
  const seconds = (performance.now() - start) / 1000
  const after = cpuSeconds(terminals.pid)
  const received = client.received - from
  if (received < bytes) throw new Error(`${received} bytes came`)
  client.socket.send('\n')
  await client.close()
  return { rate: received / 1e6 / seconds, user: after.user - before.user, system: after.system - before.system }
}
