// The baseline of the shell scenarios: a terminal on a WebSocket and nothing else. No auth, no limits, no scrollback, no
// audit. ?file= is the program.
import { createRequire } from 'node:module'
import { WebSocketServer } from 'ws'

/** As much as is used of node-pty, which is CommonJS. */
interface NodePty {
  spawn(
    file: string,
    args: string[],
    options: { name: string; cols: number; rows: number; env: NodeJS.ProcessEnv },
  ): {
    onData(listener: (data: string) => void): void
    onExit(listener: () => void): void
    write(data: string): void
    kill(): void
  }
}
const { spawn } = createRequire(import.meta.url)('node-pty') as NodePty

const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })
server.on('listening', () => {
  const address = server.address()
  process.send?.(`ws://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`)
})
server.on('connection', (socket, request) => {
  const file = new URL(request.url ?? '/', 'http://relay').searchParams.get('file') ?? '/bin/sh'
  const terminal = spawn(file, [], { name: 'xterm-256color', cols: 80, rows: 24, env: process.env })
  terminal.onData(data => socket.send(JSON.stringify({ type: 'output', data })))
  terminal.onExit(() => socket.close(1000))
  socket.on('message', data => terminal.write(String(data)))
  socket.on('close', () => terminal.kill())
})
