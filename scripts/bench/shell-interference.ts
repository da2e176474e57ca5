import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { percentile, row, type Scenario } from './scenario.js'
import { echoes, echoProgram } from './shell-echo.js'
import { bearer, hackdTerminals, shellUrl } from './terminals.js'

export const shellInterference: Scenario = {
  name: 'shell-interference',
  about: 'the echo of one shell while a viewer takes a flood from another, against its idle echo',
  async measure(bench) {
    const ours = await hackdTerminals(bench)
    const client = await ours.run(echoProgram)
    await client.ask('', 'ready')
    await echoes(client, 500)
    const [idle, busy, ratio]: [number[], number[], number[]] = [[], [], []]
    for (let run = 0; run < bench.runs; run++) {
      const quiet = percentile(await echoes(client, 2000), 0.99)
      const shell = await ours.hackd.runInShell("yes 'a line that a build or a test may print, 0123456789'")
      const viewer = fork(fileURLToPath(new URL('shell-viewer.js', import.meta.url)), [
        shellUrl(ours.hackd, shell),
        bearer(ours.hackd).authorization,
      ])
      await once(viewer, 'message')
      const loud = percentile(await echoes(client, 2000), 0.99)
      viewer.kill()
      await once(viewer, 'exit')
      await ours.hackd.call('DELETE', ours.hackd.shells(`/${shell.shellId}`))
      idle.push(quiet)
      busy.push(loud)
      ratio.push(loud / quiet)
    }
    return [
      row('idle p99', 'ms', idle),
      row('p99 during the flood', 'ms', busy),
      row('ratio', '×', ratio, { atMost: 10 }),
    ]
  },
}
