import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'
import type { ShellFrame } from '../../schemas/shells.js'
import { ClientTerminal } from '../../test/shells/terminal.js'
import { row, type Scenario } from './scenario.js'
import { bearer, hackdTerminals, shellUrl } from './terminals.js'

/** Fills more than the scrollback with coloured lines, and then shows a last one. */
const fill = `i=0; while [ $i -lt 42000 ]; do
  printf '\\033[3%dmline %d\\033[m of what a build prints, with a colour\\n' $((i % 8)) $i; i=$((i + 1))
done; printf 'THE LAST LINE'; read end`

export const shellAttach: Scenario = {
  name: 'shell-attach',
  about: 'a client comes back to a shell with 2 MiB of scrollback → its screen is drawn',
  async measure(bench) {
    const cold: number[] = []
    const warm: number[] = []
    for (let run = 0; run < Math.min(bench.runs, 5); run++) {
      const { hackd } = await hackdTerminals(bench)
      const shell = await hackd.runInShell(fill)
      const first = hackd.attach(shell)
      await first.has('THE LAST LINE')
      first.socket.terminate()
      await delay(300)
      cold.push(await comeBack(shellUrl(hackd, shell), bearer(hackd)))
      warm.push(await comeBack(shellUrl(hackd, shell), bearer(hackd)))
      await hackd.stop()
    }
    return [
      row('the first time in a process', 'ms', cold, { atMost: 150 }),
      row('after that', 'ms', warm, { atMost: 150 }),
    ]
  },
}

/** Milliseconds from the connect to the drawn screen. */
async function comeBack(url: string, headers: Record<string, string>): Promise<number> {
  const terminal = new ClientTerminal()
  const start = performance.now()
  const socket = new WebSocket(url, { headers })
  const drawn = new Promise<number>(resolve => {
    socket.on('message', async data => {
      const frame = JSON.parse(String(data)) as ShellFrame
      if (frame.type !== 'output') return
      await terminal.write(frame.data)
      if (terminal.lines.some(line => line.startsWith('THE LAST LINE'))) resolve(performance.now() - start)
    })
  })
  await once(socket, 'open')
  socket.send('{"type":"hello","cols":80,"rows":24}')
  const took = await drawn
  socket.terminate()
  return took
}
