import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { ShellEvent } from '../../src/shells/viewer.js'
import { eventually } from '../eventually.js'
import { buildHost, watch } from './build-host.js'
import { ClientTerminal } from './terminal.js'

const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex')
const mebibyte = 2 ** 20

/** Prints `bytes` of numbered lines, unchanged by the terminal. */
const flood = (bytes: number) =>
  `stty raw -echo; seq -f 'line %012.0f ${'.'.repeat(40)}' 1 99999999 | sed 's/$/\r/' | head -c ${bytes}`

const outputs = (events: ShellEvent[]) => events.filter(event => event.type === 'output')

test('the first viewer gets all output from the beginning, also of a shell that has exited', async t => {
  const { host, run } = buildHost(t)
  const ref = await run(`${flood(mebibyte)}; exit 3`)
  await eventually('it exits', () => host.get(ref).status === 'exited')
  const late = await watch(host, ref)
  assert.deepEqual(await late.done, { type: 'exit', exitCode: 3, signal: null })
  assert.equal(late.bytes.length, mebibyte)
  assert.equal(late.attachment.offset, 0)
  assert.ok(outputs(late.events).every(event => event.replay && event.bytes.length <= 65536))
  assert.equal(late.events.at(-1)?.type, 'exit')
})

test('every viewer gets every byte, and those at the same place share their chunks', async t => {
  const { host, run } = buildHost(t)
  const ref = await run(`read go; ${flood(8 * mebibyte)}`)
  const viewers = await Promise.all(Array.from({ length: 5 }, () => watch(host, ref, 0)))
  await host.input(ref, Buffer.from('go\n'))
  await Promise.all(viewers.map(viewer => viewer.done))
  const [first, ...others] = viewers.map(viewer => viewer.events.filter(event => event.type === 'output'))
  const hash = sha256(viewers[0]?.bytes ?? Buffer.alloc(0))
  for (const viewer of viewers) assert.equal(sha256(viewer.bytes), hash)
  assert.ok((first ?? []).length < 2500, `${first?.length} chunks for 8 MiB`)
  const shared = new Set(first)
  for (const other of others)
    assert.ok(other.filter(chunk => shared.has(chunk)).length > other.length * 0.9, 'chunks are shared')
})

test('offsets count bytes: a stream that is cut anywhere and resumed is the same stream', async t => {
  const { host, run } = buildHost(t)
  const ref = await run('stty raw -echo; for i in $(seq 1 4000); do printf "%s é € 😀 " $i; done; read end')
  const whole = await watch(host, ref, 0)
  await whole.has(' 4000 é € 😀 ')
  const { bytes } = whole
  const offsets = outputs(whole.events).map(event => event.offset)
  assert.equal(offsets.at(-1), bytes.length)
  for (let cut = 0; cut < bytes.length; cut += 1013) {
    const { events } = await host.attach(ref, { from: cut })
    const parts: Buffer[] = []
    for await (const event of events) {
      if (event.type === 'output') parts.push(Buffer.from(event.bytes))
      if (event.type === 'output' && event.offset === bytes.length) break
    }
    assert.deepEqual(Buffer.concat(parts), bytes.subarray(cut))
  }
  await assert.rejects(host.attach(ref, { from: bytes.length + 1 }), { code: 'offset_out_of_range' })
  await host.input(ref, Buffer.from('\r\n'))
})

test('the terminal waits for the only viewer, and goes on for nobody', async t => {
  const { host, run } = buildHost(t)
  const ref = await run(`read go; ${flood(32 * mebibyte)}; printf END`)
  const attachment = await host.attach(ref, { from: 0 })
  const events = attachment.events[Symbol.asyncIterator]()
  await host.input(ref, Buffer.from('go\n'))
  let taken = 0
  while (taken < mebibyte) {
    const { value } = await events.next()
    assert.equal(value?.type, 'output')
    if (value?.type === 'output') taken = value.offset
  }
  await delay(300)
  // It takes nothing more, and so the shell does not get far beyond it.
  const other = await host.attach(ref, { from: taken })
  assert.equal(other.oldest, 0)
  other.close()
  assert.equal(host.get(ref).status, 'running')
  attachment.close()
  await eventually('without a viewer it runs to its end', () => host.get(ref).status === 'exited')
})

test('a stalled viewer holds nobody up, and is told of the gap and shown the screen', async t => {
  const { host, run } = buildHost(t, { scrollbackBytes: 256 * 1024 })
  const ref = await run(`printf ready; read go; ${flood(24 * mebibyte)}; printf '\\r\\nEND'; read end`)
  const stalled = await host.attach(ref, { from: 0 })
  const events = stalled.events[Symbol.asyncIterator]()
  await events.next()
  const quick = await watch(host, ref, 0)
  await host.input(ref, Buffer.from('go\n'))
  await quick.has('END')
  assert.equal(quick.events.filter(event => event.type === 'gap').length, 0)
  const rest: ShellEvent[] = []
  const terminal = new ClientTerminal()
  while (!terminal.lines.includes('END')) {
    const { value } = await events.next()
    if (value === undefined) break
    rest.push(value)
    if (value.type === 'output') await terminal.write(value.bytes)
  }
  const gap = rest.find(event => event.type === 'gap')
  assert.ok(gap && gap.from < gap.oldest)
  const after = rest[rest.indexOf(gap) + 1]
  assert.ok(after?.type === 'output' && after.replay)
  const all = new ClientTerminal()
  await all.write(quick.bytes)
  assert.deepEqual(terminal.picture, all.picture)
  stalled.close()
  await host.input(ref, Buffer.from('\r\n'))
})

test('resuming at what is no longer kept gives the gap and the screen', async t => {
  const { host, run } = buildHost(t, { scrollbackBytes: 8192 })
  const ref = await run(`${flood(100_000)}; printf '\\r\\nEND'; read end`)
  const first = await watch(host, ref)
  await first.has('END')
  const second = await watch(host, ref, 10)
  await second.has('END')
  const [gap, screen] = second.events
  assert.ok(gap?.type === 'gap' && gap.from === 10 && gap.oldest > 90_000)
  assert.ok(screen?.type === 'output' && screen.replay && screen.bytes.includes('\x1bc'))
  await host.input(ref, Buffer.from('\r\n'))
})

test('a viewer that acknowledges is sent at most 128 KiB more', async t => {
  const { host, run } = buildHost(t)
  const ref = await run(`read go; ${flood(2 * mebibyte)}`)
  const viewer = await watch(host, ref, 0)
  viewer.attachment.acknowledge(0)
  await host.input(ref, Buffer.from('go\n'))
  let acknowledged = 0
  while (acknowledged < mebibyte) {
    await eventually('the window is used up', () => viewer.bytes.length > acknowledged + 128 * 1024 - 4)
    await delay(20)
    assert.ok(viewer.bytes.length <= acknowledged + 128 * 1024)
    acknowledged += 100_000
    viewer.attachment.acknowledge(acknowledged)
  }
  // An old acknowledgement takes nothing back.
  viewer.attachment.acknowledge(5)
  viewer.attachment.acknowledge(3 * mebibyte)
  while (acknowledged < 3 * mebibyte && viewer.events.at(-1)?.type !== 'exit') {
    viewer.attachment.acknowledge(viewer.bytes.length)
    await delay(5)
  }
  await viewer.done
  assert.ok(viewer.bytes.length >= 2 * mebibyte)
})

test('queries in what was there before a viewer came are silent, those that come later are not', async t => {
  const { host, run } = buildHost(t)
  const ref = await run(
    `stty raw -echo; printf 'a\\033[cb\\033[6nc\\033]10;?\\007d'; read go; printf '\\033[5n'; read end`,
  )
  const first = await watch(host, ref, 0)
  await first.has('d')
  for (const from of [undefined, 0, 1, 2, 3, 4, 8]) {
    const terminal = new ClientTerminal()
    const later = await watch(host, ref, from)
    await eventually('it is there', () => later.text.includes('d'))
    await terminal.write(first.bytes.subarray(0, from ?? 0))
    terminal.answers = ''
    await terminal.write(later.bytes)
    assert.equal(terminal.answers, '', `from ${from}`)
    assert.equal(terminal.lines[0], 'abcd')
    later.attachment.close()
  }
  await host.input(ref, Buffer.from('go\n'))
  await first.has('\x1b[5n')
  await host.input(ref, Buffer.from('\n'))
})

test('a screen that the emulator did not see whole is drawn again by its program', async t => {
  const { host, run } = buildHost(t)
  const draw = `printf '\\033[H\\033[2Jthe whole screen'`
  const noise = `head -c 6000000 /dev/zero | tr '\\0' x | fold -w 79 | sed 's/^/\\x1b[2;1H/'`
  const ref = await run(
    `stty -echo; trap "${draw}" WINCH; printf '\\033[?1049h'; ${draw}; ${noise}; printf DONE; while :; do sleep 0.05; done`,
  )
  const first = await watch(host, ref, 0)
  await first.has('DONE')
  const terminal = new ClientTerminal()
  const second = await watch(host, ref)
  let written = 0
  await eventually('it was drawn again', async () => {
    const bytes = second.bytes.subarray(written)
    written += bytes.length
    await terminal.write(bytes)
    return terminal.lines[0] === 'the whole screen'
  })
  assert.deepEqual((terminal.picture as { type: string }).type, 'alternate')
})
