// Takes all output of a shell in a process of its own: node shell-viewer.js URL AUTHORIZATION. Says when it flows.
import { WebSocket } from 'ws'

const [, , url = '', authorization = ''] = process.argv
let frames = 0
new WebSocket(url, { headers: { authorization } }).on('message', () => {
  if (++frames === 100) process.send?.('flows')
})
