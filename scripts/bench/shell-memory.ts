import { setTimeout as delay } from 'node:timers/promises'
import { residentMiB } from './resident.js'
import { row, type Scenario } from './scenario.js'
import { bearer, connect, flood, hackdTerminals, shellUrl } from './terminals.js'

const shells = 40
const viewers = 10

export const shellMemory: Scenario = {
  name: 'shell-memory',
  about: `what each of ${shells} silent shells, and each of ${viewers} stalled viewers, adds to hackd's memory`,
  async measure(bench) {
    const perShell: number[] = []
    const perViewer: number[] = []
    for (let run = 0; run < Math.min(bench.runs, 3); run++) {
      const ours = await hackdTerminals(bench)
      await (await ours.run('read end')).close()
      await delay(500)
      const before = residentMiB(ours.hackd)
      for (let opened = 0; opened < shells; opened++) await ours.hackd.runInShell('read end')
      await delay(500)
      perShell.push((residentMiB(ours.hackd) - before) / shells)

      const shell = await ours.hackd.runInShell(`while :; do ${flood(24 * 2 ** 20)}; done`)
      const url = shellUrl(ours.hackd, shell)
      const quick = await connect(url, bearer(ours.hackd))
      await quick.ask('', 'ready')
      const pour = async () => {
        await quick.ask('go\n', 'END')
        await quick.ask('\n', 'ready')
        await delay(500)
      }
      for (let warm = 0; warm < 3; warm++) await pour()
      const calm = residentMiB(ours.hackd)
      const stalled = await Promise.all(Array.from({ length: viewers }, () => connect(url, bearer(ours.hackd))))
      await delay(500)
      for (const { socket } of stalled) socket.pause()
      for (let turn = 0; turn < 2; turn++) await pour()
      perViewer.push((residentMiB(ours.hackd) - calm) / viewers)
      for (const { socket } of stalled) socket.terminate()
      await ours.hackd.stop()
    }
    return [
      row('a silent shell', 'MiB', perShell, { atMost: 3 }),
      row('a stalled viewer', 'MiB', perViewer, { atMost: 4 }),
    ]
  },
}
