import assert from 'node:assert/strict'
import { test } from 'node:test'
import { childEnvironment } from '../../src/processes/environment.js'

test("children see their user's variables and none of hackd's or the service manager's", () => {
  const user = {
    HOME: '/home/x',
    PATH: '/bin',
    LANG: 'C.UTF-8',
    HACKATHON: '1',
    XDG_RUNTIME_DIR: '/run/user/1',
    EMPTY: '',
  }
  const own = {
    HACK_HOME: '/home/x/.hack',
    HACK_SHELL_ID: 'outer',
    NOTIFY_SOCKET: '/run/n',
    INVOCATION_ID: 'f',
    JOURNAL_STREAM: '8:1',
    LISTEN_FDS: '1',
    LISTEN_PID: '2',
    WATCHDOG_USEC: '3',
    CREDENTIALS_DIRECTORY: '/run/c',
    NODE_CHANNEL_FD: '3',
    PWD: '/srv/hackd',
  }
  assert.deepEqual(childEnvironment({ ...user, ...own, UNSET: undefined }), user)
})
