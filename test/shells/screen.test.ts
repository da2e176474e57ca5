import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Screen } from '../../src/shells/screen.js'
import { Scrollback } from '../../src/shells/scrollback.js'
import { ClientTerminal } from './terminal.js'

function build(t: TestContext, capacity = 2 ** 21) {
  const scrollback = new Scrollback(capacity)
  const screen = new Screen(scrollback, 80, 24)
  t.after(() => screen.close())
  const print = (text: string | Buffer) => {
    const bytes = Buffer.from(text)
    screen.makeRoom(bytes.length)
    scrollback.append(bytes)
    screen.follow()
  }
  return { scrollback, screen, print }
}

/** What a client that was there all the time sees, and what one sees that only has the snapshot. Both then see `next`. */
async function compare(t: TestContext, shown: string, next = ''): Promise<void> {
  const { screen, print, scrollback } = build(t)
  print(shown)
  const { bytes, offset, incomplete } = await screen.snapshot()
  assert.equal(offset, scrollback.end)
  assert.equal(incomplete, false)
  const first = new ClientTerminal()
  await first.write(shown + next)
  const second = new ClientTerminal()
  await second.write('what was here before\x1b[?1049h\x1b[31;4mtoo\x1b[?25l\x1b(0')
  await second.write(bytes)
  await second.write(next)
  assert.deepEqual(second.picture, first.picture)
  assert.equal(second.answers, '')
}

const cases: Record<string, [shown: string, next?: string]> = {
  'an empty screen': [''],
  'a prompt': ['$ ls\r\nfile\r\n$ '],
  colours: [
    '\x1b[31mred\x1b[1;44mbold on blue\x1b[m\r\n\x1b[38;2;1;2;3mrgb\x1b[38;5;200;7mindexed\x1b[K',
    'still styled',
  ],
  'wide characters and emoji': ['漢字 é e\u0301 😀\r\n\x1b[2;79H漢x'],
  'more lines than fit': [Array.from({ length: 300 }, (_, line) => `line ${line}\r\n`).join('')],
  'a long line that wraps': ['x'.repeat(250), 'y'],
  'a cursor at the margin': ['x'.repeat(80), 'y'],
  'a full-screen program': [
    '$ vi\r\n\x1b[?1049h\x1b[?1h\x1b=\x1b[2J\x1b[Htext\x1b[24;1H-- INSERT --\x1b[5;3H',
    'Z\x1b[?1049l$ ',
  ],
  'a scroll region': ['top\x1b[3;10r\x1b[10;1Hlast of region', '\r\nscrolled\r\nscrolled'],
  'line drawing': ['\x1b(0lqqk\r\nx', 'qqq\x1b(Bqqq'],
  'a soft reset': ['\x1b[3;10r\x1b[?25l\x1b(0\x1b[!p', 'q\r\n\r\n\r\n'],
  'modes of input': ['\x1b[?2004h\x1b[?1002h\x1b[?1006h\x1b[?1004h\x1b[?1h'],
  'no wrapping': [`\x1b[?7l${'a'.repeat(100)}`, 'b'],
  'insert mode': ['abc\r\x1b[4h', 'Z'],
}
for (const [name, [shown, next]] of Object.entries(cases))
  test(`a snapshot shows ${name}`, t => compare(t, shown, next))

test('a snapshot brings along what cannot be seen in cells', async t => {
  const { screen, print } = build(t)
  print('\x1b[?25l\x1b[4 q\x1b[?1006h\x1b]0;the title\x07\x1b[?12h')
  const text = (await screen.snapshot()).bytes.toString()
  for (const sequence of ['\x1b[?25l', '\x1b[4 q', '\x1b[?1006h', '\x1b]0;the title\x07', '\x1b[?12h'])
    assert.ok(text.includes(sequence), JSON.stringify(sequence))
})

/** Random but repeatable output of the kinds that move, colour, erase, insert, scroll and switch. */
function* noise(seed: number, length: number): Generator<string> {
  let state = seed
  const below = (limit: number) => {
    state = (state * 1103515245 + 12345) & 0x7fffffff
    return (state >> 8) % limit
  }
  const pick = (choices: string[]) => choices[below(choices.length)] ?? ''
  const settings = '7 8 M D [?25l [?25h [?1h [?1l [4h [4l [?7l [?7h (0 (B [r [m [?1049h [?1049l [?1002h [?1000l'.split(
    ' ',
  )
  const kinds = [
    () => 'text '.repeat(below(30)),
    () => pick(['\r\n', '\n', '\t', '\b']),
    () => `\x1b[${below(108)}m`,
    () => `\x1b[38;5;${below(256)};48;2;${below(256)};${below(256)};7m`,
    () => `\x1b[${below(30)};${below(90)}H`,
    () => `\x1b[${below(3)}${pick(['J', 'K'])}`,
    () => `\x1b[${below(5)}${pick([...'ABCDLMPX@ST'])}`,
    () => `\x1b[${1 + below(8)};${10 + below(12)}r`,
    () => `\x1b${pick(settings)}`,
  ]
  for (let at = 0; at < length; at++) yield kinds[below(kinds.length)]?.() ?? ''
}

test('a snapshot of anything is the same picture, cell by cell', async t => {
  for (let seed = 1; seed <= 200; seed++) await compare(t, [...noise(seed, seed % 60)].join(''))
})

test('a snapshot asks nothing, whatever was printed', async t => {
  await compare(t, 'a\x1b[c\x1b[6n\x1bP$qm\x1b\\\x1b]10;?\x07\x1b[>c\x1b[?2004$pb')
})

test('sizes apply from where they were set', async t => {
  const { screen, print } = build(t)
  const client = new ClientTerminal()
  const wide = 'x'.repeat(100)
  print(wide)
  await client.write(wide)
  screen.resize(120, 30)
  client.resize(120, 30)
  print(`\r\n${wide}`)
  await client.write(`\r\n${wide}`)
  const { bytes } = await screen.snapshot()
  const second = new ClientTerminal(120, 30)
  await second.write(bytes)
  assert.deepEqual(second.lines, client.lines)
})

test('a flood of lines that outran the emulator ends with the right screen', async t => {
  const { screen, print, scrollback } = build(t)
  const line = (number: number) => `\x1b[3${number % 8}mline ${number} of a long flood of lines\x1b[m\r\n`
  print('\x1b[?2004h\x1b[?25l')
  for (let block = 0; block < 60; block++)
    print(Array.from({ length: 2000 }, (_, at) => line(block * 2000 + at)).join(''))
  assert.ok(scrollback.oldest > 0)
  print('$ ')
  const started = performance.now()
  const { bytes, incomplete } = await screen.snapshot()
  t.diagnostic(`snapshot after ${scrollback.end} bytes: ${(performance.now() - started).toFixed(0)} ms`)
  assert.equal(incomplete, false)
  const first = new ClientTerminal()
  await first.write(scrollback.read(scrollback.end - 20_000, scrollback.end))
  await first.write('\x1b[?2004h')
  const second = new ClientTerminal()
  await second.write(bytes)
  assert.deepEqual(second.picture, first.picture)
  assert.ok(bytes.includes('\x1b[?25l'))
})

test('a full-screen program that outran the emulator is known as incomplete, in its modes, until it has drawn again', async t => {
  const { screen, print } = build(t, 2 ** 20)
  print('\x1b[?1049h\x1b[?1h\x1b[2J')
  for (let frame = 0; frame < 30_000; frame++)
    print(`\x1b[${(frame % 23) + 1};1Hframe ${frame} of an animation that does not rest\x1b[K`)
  const { bytes, incomplete } = await screen.snapshot()
  assert.equal(incomplete, true)
  const client = new ClientTerminal()
  await client.write(bytes)
  assert.deepEqual(
    [(client.picture as { type: string }).type, client.lines[22]],
    ['alternate', 'frame 29991 of an animation that does not rest'],
  )
  screen.redrawn()
  assert.equal((await screen.snapshot()).incomplete, false)
})

test('output that rests is followed without anybody asking', async t => {
  const { screen, print } = build(t, 8192)
  // More than the scrollback keeps, in pieces: only an emulator that was shown each in time can know the first line.
  print('\x1b[1;1Hfirst')
  for (let piece = 0; piece < 4; piece++) {
    await new Promise(resolve => setTimeout(resolve, 150))
    print(`\x1b[2;1H${'.'.repeat(4000).replaceAll(/.{40}/g, '\x1b[2;1H$&')}`)
  }
  await new Promise(resolve => setTimeout(resolve, 150))
  const client = new ClientTerminal()
  await client.write((await screen.snapshot()).bytes)
  assert.equal(client.lines[0], 'first')
})
