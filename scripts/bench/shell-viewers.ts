import { once } from 'node:events'
import { WebSocket } from 'ws'
import { alternate, row, type Scenario } from './scenario.js'
import { bearer, flood, hackdTerminals, shellUrl } from './terminals.js'

const count = 20
const bytes = 32 * 2 ** 20

export const shellViewers: Scenario = {
  name: 'shell-viewers',
  about: `${count} viewers on one shell that prints 32 MiB, against one viewer`,
  async measure(bench) {
    const { hackd } = await hackdTerminals(bench)
    const pour = async (viewers: number) => {
      const shell = await hackd.runInShell(flood(bytes))
      const sockets = Array.from(
        { length: viewers },
        () => new WebSocket(shellUrl(hackd, shell), { headers: bearer(hackd) }),
      )
      const ready = sockets.map(socket => seen(socket, 'ready"'))
      await Promise.all(sockets.map(socket => once(socket, 'open')))
      for (const socket of sockets) socket.send('{"type":"hello","from":0}')
      await Promise.all(ready)
      const ends = sockets.map(socket => seen(socket, 'END"'))
      const start = performance.now()
      sockets[0]?.send('go\n')
      const offsets = await Promise.all(ends)
      const seconds = (performance.now() - start) / 1000
      if (offsets.some(offset => offset < bytes)) throw new Error('a viewer came too short')
      sockets[0]?.send('\n')
      await Promise.all(sockets.map(socket => once(socket, 'close')))
      return offsets.reduce((sum, offset) => sum + offset, 0) / 1e6 / seconds
    }
    const pairs = await alternate(
      bench.runs,
      () => pour(count),
      () => pour(1),
    )
    return [
      row(
        `${count} viewers, all together`,
        'MB/s',
        pairs.map(({ ours }) => ours),
      ),
      row(
        'one viewer',
        'MB/s',
        pairs.map(({ baseline }) => baseline),
      ),
      row(
        'ratio',
        '×',
        pairs.map(({ ours, baseline }) => ours / baseline),
        { atLeast: 2 },
      ),
    ]
  },
}

/** Resolves with its offset when an output frame that ends so has come: a client as cheap as can be, since 20 share a core. */
function seen(socket: WebSocket, end: string): Promise<number> {
  return new Promise(resolve => {
    const look = (data: Buffer) => {
      if (!data.toString('latin1', data.length - 12).includes(end)) return
      socket.off('message', look)
      resolve(Number(/"offset":(\d+)/.exec(data.toString('latin1', 0, 80))?.[1]))
    }
    socket.on('message', look)
  })
}
