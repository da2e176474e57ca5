import assert from 'node:assert/strict'
import { test } from 'node:test'
import xterm from '@xterm/headless'
import { silenceQueries } from '../../src/shells/terminal-queries.js'

/** What a real terminal types back by itself, `seen` having been written to it before. */
async function answersTo(data: string | Buffer, seen = ''): Promise<string> {
  const terminal = new xterm.Terminal({ allowProposedApi: true })
  await new Promise<void>(done => terminal.write(seen, done))
  let answers = ''
  terminal.onData(answer => {
    answers += answer
  })
  await new Promise<void>(done => terminal.write(data, done))
  terminal.dispose()
  return answers
}

const silence = (text: string, from?: number) => silenceQueries(Buffer.from(text), from)

/** Queries that the headless terminal answers; the first test shows that it does. */
const answered = [
  '\x1b[c',
  '\x1b[0c',
  '\x1b[>c',
  '\x1b[5n',
  '\x1b[6n',
  '\x1b[?6n',
  '\x1b[?2004$p',
  '\x1b[4$p',
  '\x1bP$q"p\x1b\\',
  '\x1bP$qm\x1b\\',
  '\x1b[\nc',
  '\x1b[6\r\nn',
]
/** Queries that other terminals answer. */
const others = [
  '\x05',
  '\x1bZ',
  '\x1b[=c',
  '\x1b[x',
  '\x1b[>0q',
  '\x1b[?u',
  '\x1b[14t',
  '\x1b[18t',
  '\x1b[21;0t',
  '\x1b]10;?\x07',
  '\x1b]11;?\x1b\\',
  '\x1b]4;1;?;2;?\x07',
  '\x1b]52;c;?\x07',
  '\x1b]10;?',
  '\x1bP+q544e\x1b\\',
  '\xc2\x9bc',
  '\x1b[?1004h',
  '\x1b[?2031;2048h',
]

test('no query is left in a replay, and nothing else is touched', async () => {
  for (const query of answered) assert.notEqual(await answersTo(query), '', JSON.stringify(query))
  for (const query of [...answered, ...others]) {
    const bytes = Buffer.from(query, 'latin1')
    const silenced = silenceQueries(Buffer.concat([Buffer.from('é before'), bytes, Buffer.from('\x1b[1mafter')]))
    assert.equal(silenced.length, bytes.length + 'é before\x1b[1mafter'.length + 1)
    const left = silenced.toString().replaceAll(/[\0\r\n]/g, '')
    assert.equal(left, 'é before\x1b[1mafter', JSON.stringify(query))
    assert.equal(await answersTo(silenced), '', JSON.stringify(query))
  }
})

test('what asks nothing stays as it is', () => {
  const harmless =
    'plain ü ✓\r\n\x1b[31;1mred\x1b[m\x1b[?2004h\x1b[?1004l\x1b[?10041h\x1b[2J\x1b[5;10H\x1b[3;20r\x1b[2 q\x1b[8;24;80t\x1b[22;0t' +
    '\x1b]0;a title? yes\x07\x1b]8;;http://x/?q\x07link\x1b]8;;\x07\x1b(0lqk\x1b(B\x1b7\x1b8\x1b[K\x1b[4 S\x1b[u'
  assert.equal(silence(harmless).toString(), harmless)
})

test('a query that was cut where the reader left is not completed by the rest', async () => {
  for (const query of answered) {
    const text = `x${query}y`
    for (let cut = 2; cut <= query.length; cut++) {
      const rest = silence(text, cut).subarray(cut)
      assert.equal(await answersTo(rest, text.slice(0, cut)), '', `${JSON.stringify(query)} cut at ${cut}`)
    }
  }
})

test('hostile output costs time in proportion to its length', () => {
  for (const unit of ['\x1b', '\x1b[', '\xc2\x9d', '\x1b]0;?', '\x1b[\0', '\x1bP$q', '\x1b]4;?;?', '?;?;', '\x1b[1;']) {
    const bytes = Buffer.from(unit.repeat(2 ** 18), 'latin1')
    const start = performance.now()
    silenceQueries(bytes)
    const ms = performance.now() - start
    assert.ok(ms < 3000, `${JSON.stringify(unit)} took ${ms} ms`)
  }
})
