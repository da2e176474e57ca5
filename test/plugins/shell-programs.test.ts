import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '../eventually.js'
import { startHackd } from '../hackd.js'
import type { ShellClient } from '../shell-client.js'

const hackd = await startHackd({ after })
const size = { cols: 100, rows: 30 }

/** The name of each program that these tests drive and that is not installed here. */
const missing = ['bash', 'vim', 'less', 'top', 'tmux', 'stty'].filter(
  name => !(process.env.PATH ?? '').split(delimiter).some(folder => existsSync(join(folder, name))),
)

/** A test of a program: it says so when the program is not installed. */
function drive(program: string, what: string, run: (t: TestContext) => Promise<void>): void {
  const reason = missing.includes(program) && `${program} is not installed`
  test(`${program}: ${what}`, { skip: reason }, run)
}

/** A client with a terminal, in an interactive bash without anybody's settings. */
async function openBash(): Promise<{ client: ShellClient; shellId: string }> {
  const shell = await hackd.runInShell(
    "PS1='prompt> ' HISTFILE=/dev/null LESSHISTFILE=- exec bash --norc --noprofile -i",
    size,
  )
  const client = await hackd.attach(shell, { terminal: size }).hello(size)
  await client.shows('prompt> ')
  return { client, shellId: shell.shellId }
}

async function leave(client: ShellClient): Promise<void> {
  client.type('\x03\nexit\n')
  await eventually('bash ends', () => client.of('exit').length > 0, 20_000).catch(() => client.send({ type: 'close' }))
  await client.closed
}

/** Waits until two clients show the same: every cell, colour, mode and the cursor. */
async function showTheSame(one: ShellClient, two: ShellClient): Promise<void> {
  const same = async () => JSON.stringify(await one.picture()) === JSON.stringify(await two.picture())
  await eventually('the screens are equal', same).catch(() => undefined)
  assert.deepEqual(await two.picture(), await one.picture())
}

drive('bash', 'Ctrl-C, Ctrl-Z and Ctrl-D do what they do in a terminal', async () => {
  const { client } = await openBash()
  client.type('sleep 1000\n')
  await eventually('it runs', async () => (await client.lines()).some(line => line.endsWith('sleep 1000')))
  await delay(300)
  client.type('\x03')
  await client.shows('^C')
  client.type('echo status $?\n')
  await client.shows('status 130')
  client.type('sleep 1001\n')
  await delay(300)
  client.type('\x1a')
  await client.shows(/Stopped\s+sleep 1001/)
  client.type('kill %1; wait %1; cat\n')
  await delay(300)
  client.type('typed\n\x04')
  await client.shows('typed')
  client.type('echo cat ended with $?\n')
  await client.shows('cat ended with 0')
  client.type('\x04')
  assert.equal((await client.frame('exit')).exitCode, 0)
  await client.closed
})

drive('stty', 'a new size reaches the program, and the last one wins', async () => {
  const { client } = await openBash()
  client.type('stty size\n')
  await client.shows(/^30 100$/)
  client.type('trap \'echo "changed: $(stty size)"\' WINCH; echo trapped\n')
  await client.shows(/^trapped$/)
  client.resize(91, 41).type('\n')
  await client.shows('changed: 41 91')
  client.resize(90, 40).resize(92, 42).type('stty size\n')
  await client.shows(/^42 92$/)
  await leave(client)
})

drive('vim', 'two clients, one of them killed and back in the middle: the same screen, cell by cell', async () => {
  const text = Array.from({ length: 200 }, (_, n) => `line ${n + 1}\tof a file with é, 漢字 and 😀`).join('\n')
  writeFileSync(join(hackd.repo, 'text.txt'), text)
  const { client, shellId } = await openBash()
  client.type("vim -N -u NONE -i NONE -c 'set number hlsearch mouse=a | syntax on' text.txt\n")
  await client.shows('  1 line 1')
  const second = await hackd.attach({ shellId }, { terminal: size }).hello(size)
  await second.shows('  1 line 1')
  await showTheSame(client, second)
  client.type('42G')
  await second.shows(' 42 line 42')
  second.socket.terminate()
  client.type('/漢\n')
  client.type('Ochanged while nobody looked\x1b')
  await client.shows('changed while nobody looked')
  const third = await hackd.attach({ shellId }, { terminal: size }).hello(size)
  await third.shows('changed while nobody looked')
  await showTheSame(client, third)
  third.type(':split\n')
  await third.shows('text.txt [+]')
  client.type('ggVG')
  await client.shows('VISUAL LINE')
  await showTheSame(client, third)
  const fourth = await hackd.attach({ shellId }, { terminal: size }).hello(size)
  await fourth.shows('VISUAL LINE')
  await showTheSame(client, fourth)
  third.socket.terminate()
  fourth.socket.terminate()
  client.type('\x1b:wqa\n')
  await client.shows('prompt> ')
  await eventually('it is written', () => readFileSync(join(hackd.repo, 'text.txt'), 'utf8').includes('nobody looked'))
  await leave(client)
})

drive('less', 'a reattached client sees the page, and the prompt again after it', async () => {
  writeFileSync(join(hackd.repo, 'long.txt'), Array.from({ length: 500 }, (_, n) => `row ${n + 1}`).join('\n'))
  const { client, shellId } = await openBash()
  client.type('less long.txt\n')
  await client.shows(/^row 1$/)
  client.type('  ')
  await client.shows(/^row 60$/)
  const second = await hackd.attach({ shellId }, { terminal: size }).hello(size)
  await second.shows(/^row 60$/)
  await showTheSame(client, second)
  second.type('q')
  await Promise.all([client.shows('prompt> '), second.shows('prompt> ')])
  await showTheSame(client, second)
  await leave(client)
})

drive('top', 'it draws, follows the size and ends', async () => {
  const { client, shellId } = await openBash()
  client.type('top -d 100\n')
  await client.shows(/^\s*PID USER/)
  const second = await hackd.attach({ shellId }, { terminal: size }).hello(size)
  await second.shows(/^\s*PID USER/)
  await showTheSame(client, second)
  client.type('q')
  await client.shows('prompt> ')
  await leave(client)
})

drive('tmux', 'windows, a status line, and a reattached client', async t => {
  const server = ['-L', `hackd-test-${process.pid}`, '-f', '/dev/null'].join(' ')
  const { client, shellId } = await openBash()
  t.after(async () => {
    const { client: last } = await openBash()
    last.type(`tmux ${server} kill-server; exit\n`)
    await last.closed
  })
  // Keys that come quickly would count as pasted, and the prefix as text.
  client.type(`tmux ${server} new-session 'PS1="inner> " bash --norc --noprofile' \\; set -g assume-paste-time 0\n`)
  await client.shows('inner> ')
  client.type('\x02%')
  await client.shows('│')
  const second = await hackd.attach({ shellId }, { terminal: size }).hello(size)
  await second.shows('│')
  await showTheSame(client, second)
  client.type('\x02d')
  await client.shows('[detached')
  await leave(client)
})

drive('bash', 'a paste of 500 KB arrives whole', async () => {
  const paste = Buffer.from(
    Array.from({ length: 12_500 }, (_, n) => `line ${n}, é and 😀 and the rest of it.\n`).join(''),
  )
  assert.ok(paste.length > 500_000)
  const shell = await hackd.runInShell(`stty raw -echo; printf ready; head -c ${paste.length} | sha256sum`)
  const client = await hackd.attach(shell).hello()
  await client.has('ready')
  client.type(paste.toString())
  await client.closed
  assert.ok(client.text.includes(createHash('sha256').update(paste).digest('hex')))
})

drive('bash', 'characters that arrive byte by byte are never cut', async () => {
  const text = 'aé漢😀\u0301 – ok '
  const bytes = [...Buffer.from(text)].map(byte => `\\${byte.toString(8).padStart(3, '0')}`)
  const print = bytes.map(byte => `printf '${byte}'; sleep 0.01`).join('; ')
  const shell = await hackd.runInShell(`read go; ${print}; printf '\\303'; sleep 0.05; printf END`)
  const client = await hackd.attach(shell).hello({ from: 0 })
  await client.frame('ready')
  client.type('go\n')
  await client.closed
  assert.ok(client.text.endsWith(`${text}\ufffdEND`), JSON.stringify(client.text))
  assert.ok(client.of('output').length > 8, 'it came in pieces')
  assert.ok(client.of('output').filter(frame => frame.data.includes('\ufffd')).length <= 1)
  for (let from = 0; from <= client.offset; from++) {
    const late = await hackd.attach(shell).hello({ from })
    await late.closed
    const rest = Buffer.concat([Buffer.from('go\r\n'), Buffer.from(text), Buffer.from([0xc3]), Buffer.from('END')])
    assert.equal(late.text, rest.subarray(from).toString(), `from ${from}`)
  }
})
