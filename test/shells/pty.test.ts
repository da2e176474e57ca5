import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inputCapacity } from '../../src/shells/input-writer.js'
import { Pty, type PtyExit } from '../../src/shells/pty.js'
import { eventually } from '../eventually.js'
import { temporaryFolder } from '../temporary-folder.js'
import { program } from './build-host.js'

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex')

/** A program on a terminal and what it printed. */
function start(t: TestContext, text: string, env: Record<string, string> = {}) {
  const cwd = temporaryFolder(t)
  const pieces: Buffer[] = []
  let exit: PtyExit | undefined
  let announce = (_exit: PtyExit) => {}
  const ended = new Promise<PtyExit>(resolve => {
    announce = resolve
  })
  const file = program(join(cwd, 'program'), text)
  const options = { file, cwd, cols: 80, rows: 24, env: { PATH: process.env.PATH ?? '', ...env } }
  const pty = new Pty(options, {
    onOutput: bytes => pieces.push(Buffer.from(bytes)),
    onExit: result => {
      exit = result
      announce(result)
    },
  })
  t.after(() => {
    if (!exit) process.kill(pty.pid, 'SIGKILL')
    return ended
  })
  return { pty, cwd, ended, text: () => Buffer.concat(pieces).toString() }
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return ''
  }
}

/** 1 MiB that ends with its own last line, the way it looks on a terminal. */
const burst = `i=0; while [ $i -lt 16384 ]; do i=$((i + 1)); done; head -c 1048576 /dev/zero | tr '\\0' x; printf END`

test('a program that prints and exits at once loses nothing', async t => {
  for (let run = 0; run < 30; run++) {
    const { ended, text } = start(t, burst)
    assert.deepEqual(await ended, { exitCode: 0, signal: null })
    assert.equal(text().length, 1048576 + 3)
    assert.ok(text().endsWith('xEND'))
  }
})

test('what a paused terminal still held at exit is not lost', async t => {
  for (let run = 0; run < 10; run++) {
    const { pty, ended, text } = start(t, 'stty -opost; head -c 3000 /dev/zero | tr "\\0" x; printf END')
    pty.pause()
    await ended
    assert.equal(text().length, 3003)
  }
})

test('the exit is reported as soon as the output is drained', async t => {
  let fastest = Number.POSITIVE_INFINITY
  for (let run = 0; run < 5; run++) {
    const started = performance.now()
    await start(t, 'exit 3').ended
    fastest = Math.min(fastest, performance.now() - started)
  }
  assert.ok(fastest < 150, `${fastest} ms`)
})

test('output of a survivor in the background neither delays the exit nor comes after it', async t => {
  const { ended, text } = start(t, '(trap "" HUP; while echo noise; do :; done) & echo main; exit 4')
  assert.deepEqual(await ended, { exitCode: 4, signal: null })
  const { length } = text()
  await new Promise(resolve => setTimeout(resolve, 50))
  assert.equal(text().length, length)
})

test('a terminal that nobody has open for a while is not lost', async t => {
  const { ended, text } = start(t, 'exec 0<&- 1>&- 2>&-; sleep 0.2; echo back >/dev/tty')
  assert.deepEqual(await ended, { exitCode: 0, signal: null })
  assert.equal(text(), 'back\r\n')
})

test('a signal is reported by its name', async t => {
  assert.deepEqual(await start(t, 'kill -KILL $$').ended, { exitCode: null, signal: 'SIGKILL' })
})

test('the program sees its terminal on descriptors 0 to 2 and nothing else of hackd', async t => {
  const others = Array.from({ length: 12 }, () => start(t, 'read line'))
  const seen = start(t, 'exec ls -l /proc/self/fd')
  await seen.ended
  const links = [...seen.text().matchAll(/(\d+) -> (\S+)/g)].map(
    ([, fd, target]) => `${fd} ${target?.replace(/\d+/, 'N')}`,
  )
  // The fourth is the folder that ls reads.
  assert.deepEqual(links, ['0 /dev/pts/N', '1 /dev/pts/N', '2 /dev/pts/N', '3 /proc/N/fd'])
  for (const { pty } of others) void pty.write(Buffer.from('\n'))
  await Promise.all(others.map(other => other.ended))
})

test('the program sees the environment that it was given', async t => {
  const { ended, text } = start(t, 'exec env', { GREETING: 'héllo $x "y"', BASH_ENV: '/dev/tty', ENV: '/dev/tty' })
  await ended
  const environment = Object.fromEntries(
    text()
      .split('\r\n')
      .filter(Boolean)
      .map(line => line.split('=')),
  )
  for (const bookkeeping of ['PWD', 'OLDPWD', 'SHLVL', '_']) delete environment[bookkeeping]
  assert.deepEqual(environment, {
    PATH: process.env.PATH,
    GREETING: 'héllo $x "y"',
    BASH_ENV: '/dev/tty',
    ENV: '/dev/tty',
  })
})

test('500 KB of input arrive whole at a program that reads slowly', async t => {
  const paste = randomBytes(250_000).toString('hex')
  const { pty, ended, text } = start(t, 'stty raw -echo; printf ready; sleep 0.3; head -c 500000 | sha256sum')
  await eventually('the program is ready', () => text().includes('ready'))
  for (let at = 0; at < paste.length; at += 10_007) void pty.write(Buffer.from(paste.slice(at, at + 10_007)))
  await ended
  assert.match(text(), new RegExp(sha256(paste)))
})

test('beyond its capacity the sender waits, and nothing is dropped', async t => {
  const total = 3 * inputCapacity
  const { pty, cwd, ended, text } = start(
    t,
    `stty raw -echo; printf ready; until [ -e go ]; do sleep 0.02; done; head -c ${total} | sha256sum`,
  )
  await eventually('the program is ready', () => text().includes('ready'))
  const input = randomBytes(total / 2).toString('hex')
  let sent = 0
  const sending = (async () => {
    for (; sent < total; sent += 65536) await pty.write(Buffer.from(input.slice(sent, sent + 65536)))
  })()
  await new Promise(resolve => setTimeout(resolve, 300))
  assert.ok(sent <= inputCapacity + 3 * 65536, `${sent} bytes were accepted while nobody read`)
  writeFileSync(join(cwd, 'go'), '')
  await sending
  await ended
  assert.match(text(), new RegExp(sha256(input)))
})

test('input that nobody read never reaches another terminal', async t => {
  for (let trial = 0; trial < 25; trial++) {
    const deaf = start(t, 'stty raw -echo; printf ready; exec sleep 100')
    await eventually('the deaf program is ready', () => deaf.text().includes('ready'))
    for (let piece = 0; piece < 12; piece++) void deaf.pty.write(Buffer.alloc(65536, 'secret '))
    process.kill(deaf.pty.pid, 'SIGKILL')
    await deaf.ended
    // It gets the descriptor number that has just become free.
    const next = start(t, 'stty raw -echo; printf ready; head -c 5')
    await eventually('the next program is ready', () => next.text().includes('ready'))
    await new Promise(resolve => setTimeout(resolve, 40))
    await next.pty.write(Buffer.from('right'))
    await next.ended
    assert.equal(next.text(), 'readyright')
  }
})

test('after the end, resizing and writing do nothing', async t => {
  const { pty, ended } = start(t, 'exit 0')
  await ended
  pty.resize(100, 40)
  pty.pause()
  pty.resume()
  await pty.write(Buffer.from('late'))
})

test('descriptors, terminals, threads and zombies are back where they were after many terminals', async t => {
  const rounds = Number(process.env.HACKD_TEST_SHELLS ?? 150)
  const own = () => ({
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
    terminals: readdirSync('/proc/self/fd').filter(fd => linkOf(fd).startsWith('/dev/pt')).length,
    children: readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ').filter(Boolean).length,
  })
  await start(t, 'exit 0').ended
  await new Promise(resolve => setTimeout(resolve, 100))
  const before = own()
  for (let done = 0; done < rounds; done += 10) {
    const batch = Array.from({ length: 10 }, () => start(t, 'read line; echo "$line"'))
    for (const { pty } of batch) void pty.write(Buffer.from('over\n'))
    await Promise.all(batch.map(one => one.ended))
  }
  await eventually('everything is given back', () => JSON.stringify(own()) === JSON.stringify(before)).catch(() => {})
  assert.deepEqual(own(), before)
})
