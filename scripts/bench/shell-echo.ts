import { alternate, percentile, row, type Scenario } from './scenario.js'
import { hackdTerminals, relayTerminals, type TerminalClient, type Terminals } from './terminals.js'

export const echoProgram = 'stty raw -echo; printf ready; exec cat'

/** Milliseconds from each of `count` keys to its echo, one after the other. */
export async function echoes(client: TerminalClient, count: number): Promise<number[]> {
  const delays: number[] = []
  for (let key = 0; key < count; key++) {
    const typed = String.fromCharCode(97 + (key % 26))
    const start = performance.now()
    await client.ask(typed, typed)
    delays.push(performance.now() - start)
  }
  return delays
}

export const shellEcho: Scenario = {
  name: 'shell-echo',
  about: 'a key typed → its echo received, against the relay',
  async measure(bench) {
    const ours = await hackdTerminals(bench)
    const relay = await relayTerminals(bench, ours.hackd.repo)
    const type = async (terminals: Terminals) => {
      const client = await terminals.run(echoProgram)
      await client.ask('', 'ready')
      await echoes(client, 500)
      const delays = await echoes(client, 4000)
      await client.close()
      return { p50: percentile(delays, 0.5), p99: percentile(delays, 0.99) }
    }
    const pairs = await alternate(
      bench.runs,
      () => type(ours),
      () => type(relay),
    )
    const each = (figure: (pair: (typeof pairs)[number]) => number) => pairs.map(figure)
    return [
      row(
        'hackd p50',
        'ms',
        each(({ ours }) => ours.p50),
      ),
      row(
        'relay p50',
        'ms',
        each(({ baseline }) => baseline.p50),
      ),
      row(
        'ratio p50',
        '×',
        each(({ ours, baseline }) => ours.p50 / baseline.p50),
        { atMost: 1.05 },
      ),
      row(
        'hackd p99',
        'ms',
        each(({ ours }) => ours.p99),
      ),
      row(
        'relay p99',
        'ms',
        each(({ baseline }) => baseline.p99),
      ),
      row(
        'ratio p99',
        '×',
        each(({ ours, baseline }) => ours.p99 / baseline.p99),
        { atMost: 1.05 },
      ),
    ]
  },
}
