import { once } from 'node:events'
import { WebSocket } from 'ws'
import type { CreateShell, ShellFrame, ShellMeta } from '../../schemas/shells.js'
import type { GatewayClient } from '../../src/client/client.js'
import { dataOf, heading, print } from './report.js'

/** Opens a shell, types one command and `exit`, and prints what its terminal shows. False when it did not end well. */
export async function runInShell(
  client: GatewayClient,
  gateway: { url: string; token: string; projectId: string },
  command: string,
): Promise<boolean> {
  heading('shell')
  const path = `/control-plane/projects/${encodeURIComponent(gateway.projectId)}/shells`
  // Without line editing, which would show every key on its way.
  const body: CreateShell = { shell: '/bin/sh' }
  const { shell } = dataOf(await client.request<{ shell: ShellMeta }>({ method: 'POST', path, body }))
  print(`${shell.shellId}  ${shell.shell}, ${shell.cols} × ${shell.rows}`)
  const url = `${gateway.url.replace(/^http/, 'ws').replace(/\/+$/, '')}${path}/${shell.shellId}/stream`
  const socket = new WebSocket(url, ['hack.v1', `hack.bearer.${gateway.token}`])
  let exitCode: number | null = null
  socket.on('message', data => {
    const frame = JSON.parse(String(data)) as ShellFrame
    if (frame.type === 'output') process.stdout.write(frame.data)
    if (frame.type === 'exit') exitCode = frame.exitCode
  })
  await once(socket, 'open')
  socket.send(JSON.stringify({ type: 'input', data: `${command}; exit\n` }))
  await once(socket, 'close')
  print(`exited  exit code ${exitCode}`)
  return exitCode === 0
}
