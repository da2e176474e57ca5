import assert from 'node:assert/strict'
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, rmdir, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import { AuditEntry } from '../../schemas/audit.js'
import { verifyAudit } from '../../src/audit/audit-check.js'
import type { AuditRecord } from '../../src/audit/audit-line.js'
import { type AuditLimits, AuditLog } from '../../src/audit/audit-log.js'
import { GatewayError } from '../../src/errors.js'
import { eventually } from '../eventually.js'

const roomy = { maxBytes: 2 ** 26, maxFiles: 5 }
let serial = 0

function record(fields: Partial<AuditRecord> = {}): AuditRecord {
  const base = { at: Date.now(), id: `r${++serial}`, phase: 'result', method: 'GET', path: '/v1/status' } as const
  return { ...base, remoteAddress: '127.0.0.1', status: 200, ...fields }
}

async function setUp(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'hackd-audit-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'audit.jsonl')
  const reported: string[] = []
  const open = (limits: AuditLimits = roomy) => {
    const log = new AuditLog(
      path,
      () => limits,
      problem => void reported.push(problem),
    )
    t.after(() => log.close())
    return log
  }
  const entries = async () => {
    const lines = (await readFile(path, 'utf8')).split('\n').filter(line => line !== '')
    return lines.map(line => JSON.parse(line) as AuditEntry)
  }
  return { folder, path, open, entries, reported }
}

test('lines are entries, chained from 64 zeros, over a restart as well', async t => {
  const { path, open, entries } = await setUp(t)
  const first = open()
  first.record(record())
  await first.persist(record({ phase: 'intent', method: 'POST', action: 'job.create', bytesIn: 3 }))
  await first.close()
  const second = open()
  second.record(record({ tokenId: '0123456789ab', userAgent: 'curl/8', durationMs: 0.25, count: 2 }))
  await second.close()
  const lines = await entries()
  assert.equal(lines.length, 3)
  assert.equal(lines[0]?.prev, '0'.repeat(64))
  for (const line of lines) assert.ok(Value.Check(AuditEntry, line))
  assert.deepEqual(await verifyAudit(path), { files: 1, lines: 3, torn: 0, fromTheStart: true, broken: [] })
  assert.equal((await stat(path)).mode & 0o777, 0o600)
})

test('an intent is on disk when its promise resolves; hundreds at once share syncs', async t => {
  const { open, entries, path } = await setUp(t)
  const log = open()
  await Promise.all(
    Array.from({ length: 300 }, async (_, i) => {
      await log.persist(record({ id: `intent${i}`, phase: 'intent' }))
      assert.ok((await readFile(path, 'utf8')).includes(`"intent${i}"`))
    }),
  )
  assert.equal((await entries()).length, 300)
  assert.deepEqual((await verifyAudit(path)).broken, [])
})

test('lines that nobody waits for are written soon, and all of them at close', async t => {
  const { open, entries } = await setUp(t)
  const log = open()
  log.record(record())
  await eventually('the file to be followed', async () => (await entries().catch(() => [])).length === 1)
  for (let i = 0; i < 3000; i++) log.record(record())
  await log.close()
  assert.equal((await entries()).length, 3001)
})

test('the log rotates by size, keeps so many files, and the chain goes on over them', async t => {
  const { folder, open, path } = await setUp(t)
  const log = open({ maxBytes: 10_000, maxFiles: 3 })
  for (let i = 0; i < 200; i++) {
    log.record(record())
    if (i % 5 === 0) await log.flush()
  }
  await log.close()
  assert.deepEqual((await readdir(folder)).sort(), ['audit.1.jsonl', 'audit.2.jsonl', 'audit.jsonl'])
  const check = await verifyAudit(path)
  assert.deepEqual([check.files, check.torn, check.fromTheStart, check.broken], [3, 0, false, []])
  await rm(path)
  const reopened = open()
  reopened.record(record())
  await reopened.close()
  assert.deepEqual((await verifyAudit(path)).broken, [], 'an empty log goes on where the rotated ones end')
})

test('a log cut at any byte goes on: the torn line is ended, chained, and named by the check', async t => {
  const { open, path } = await setUp(t)
  const log = open()
  log.record(record({ path: '/first' }))
  log.record(record({ path: '/second' }))
  await log.close()
  const whole = await readFile(path)
  const firstLine = whole.indexOf('\n') + 1
  for (let cut = firstLine; cut < whole.length; cut += 13) {
    await writeFile(path, whole.subarray(0, cut))
    const next = open()
    next.record(record({ path: '/third' }))
    await next.close()
    const check = await verifyAudit(path)
    assert.deepEqual(check.broken, [], `cut at ${cut}`)
    assert.equal(check.torn, cut === firstLine ? 0 : 1)
  }
})

test('the check finds a changed, a removed and an inserted line', async t => {
  const { open, path } = await setUp(t)
  const log = open()
  for (let i = 0; i < 6; i++) log.record(record({ path: `/${i}` }))
  await log.close()
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
  const brokenAt = async (changed: string[]) => {
    await writeFile(path, `${changed.join('\n')}\n`)
    return (await verifyAudit(path)).broken.map(({ line }) => line)
  }
  assert.deepEqual(await brokenAt(lines), [])
  assert.deepEqual(await brokenAt(lines.with(2, (lines[2] ?? '').replace('"/2"', '"/x"'))), [4])
  assert.deepEqual(await brokenAt(lines.toSpliced(3, 1)), [4])
  assert.deepEqual(await brokenAt(lines.toSpliced(3, 0, lines[1] ?? '')), [4, 5])
  assert.deepEqual(await brokenAt(lines.toSpliced(3, 0, 'garbage')), [5])
})

test('while the log cannot be written intents are refused and reads kept; it recovers by itself', async t => {
  const { open, path, entries, reported } = await setUp(t)
  await mkdir(path)
  const log = open()
  log.record(record({ id: 'read' }))
  for (let i = 0; i < 3; i++) {
    const refused = log.persist(record({ id: 'refused', phase: 'intent' }))
    await assert.rejects(refused, error => error instanceof GatewayError && error.code === 'audit_unavailable')
  }
  await rmdir(path)
  await log.persist(record({ id: 'accepted', phase: 'intent' }))
  assert.deepEqual(
    (await entries()).map(({ id }) => id),
    ['read', 'accepted'],
  )
  assert.equal(reported.length, 2, 'once when it broke, once when it was well again')
  assert.deepEqual((await verifyAudit(path)).broken, [])
})

test('a log that was removed under a running daemon is begun anew before the next intent', async t => {
  const { open, path, entries } = await setUp(t)
  const log = open()
  await log.persist(record({ phase: 'intent' }))
  await rm(path)
  await log.persist(record({ id: 'after', phase: 'intent' }))
  const [line] = await entries()
  assert.equal(line?.id, 'after')
  assert.notEqual(line?.prev, '0'.repeat(64), 'its chain shows that something is gone')
})

test('no secret, no control character and no line over 8 KiB gets in', async t => {
  const { open, path, entries } = await setUp(t)
  const log = open()
  const token = `hack_0123456789ab_${'s3cret'.repeat(9)}`
  const paths = [
    `/a?token=${token}`,
    `/a?x=1&%74oken=${token}&y=2`,
    `/a?q=${token}`,
    `/a?q=hack%5F0123456789ab`,
    `/b/${token}`,
  ]
  for (const one of paths) log.record(record({ path: one, userAgent: `agent ${token}` }))
  log.record(record({ path: '/\u009b31m', userAgent: 'a\u0007\u007f\u202e\u2028"\\é' }))
  log.record(record({ path: `/${'\u0001'.repeat(20_000)}`, userAgent: '\u0001'.repeat(20_000), projectId: 'p' }))
  await log.close()
  const text = await readFile(path, 'latin1')
  assert.ok(!/s3cret/.test(text))
  assert.ok(/^[\n -~]*$/.test(text), 'printable ASCII only')
  for (const line of text.split('\n')) assert.ok(line.length < 8192)
  const lines = await entries()
  assert.equal(lines[0]?.path, '/a?token=[removed]')
  assert.equal(lines[1]?.path, '/a?x=1&%74oken=[removed]&y=2')
  assert.equal(lines[5]?.userAgent, 'a\u0007\u007f\u202e\u2028"\\é')
  assert.deepEqual((await verifyAudit(path)).broken, [])
})

test('refusals are summed: one line per address', async t => {
  const { open, entries } = await setUp(t)
  const log = open()
  for (let i = 0; i < 500; i++) log.sumRefusal(record({ status: 429, remoteAddress: `10.0.0.${i % 2}` }))
  await log.close()
  assert.deepEqual(
    (await entries()).map(({ remoteAddress, count, status }) => [remoteAddress, count, status]),
    [
      ['10.0.0.0', 250, 429],
      ['10.0.0.1', 250, 429],
    ],
  )
})

test('the newest entries come first, page by page, over rotated files and damaged lines', async t => {
  const { open, path } = await setUp(t)
  const log = open({ maxBytes: 70_000, maxFiles: 5 })
  const tokens = ['aaaaaaaaaaaa', 'bbbbbbbbbbbb']
  for (let i = 0; i < 900; i++) {
    log.record(record({ id: `e${i}`, tokenId: tokens[i % 2] }))
    if (i % 50 === 49) await log.flush()
  }
  await log.flush()
  await appendFile(path, 'not an entry\n{"id":"e1"}\n')
  const ids = async (before: string | undefined, limit: number, tokenId?: string) => {
    const page = await log.search({ limit, ...(before && { before }) }, tokenId)
    return { ids: page.entries.map(({ id }) => id), next: page.next }
  }
  assert.deepEqual((await ids(undefined, 3)).ids, ['e899', 'e898', 'e897'])
  assert.deepEqual((await ids('e500', 2)).ids, ['e499', 'e498'])
  assert.deepEqual((await ids('e500', 2, 'bbbbbbbbbbbb')).ids, ['e499', 'e497'])
  assert.deepEqual((await ids('nobody', 2)).ids, [])
  const all: string[] = []
  for (let page = await ids(undefined, 70); ; page = await ids(page.next, 70)) {
    all.push(...page.ids)
    if (!page.next) break
  }
  assert.deepEqual(
    all,
    Array.from({ length: 900 }, (_, i) => `e${899 - i}`),
  )
})

test('intent and result of one id are two places to go on from', async t => {
  const { open } = await setUp(t)
  const log = open()
  await log.persist(record({ id: 'long', phase: 'intent' }))
  for (let i = 0; i < 3; i++) log.record(record({ id: `mid${i}` }))
  log.record(record({ id: 'long' }))
  const seen: string[] = []
  for (let page = await log.search({ limit: 2 }); ; page = await log.search({ limit: 2, before: page.next ?? '' })) {
    seen.push(...page.entries.map(({ id, phase }) => `${id} ${phase}`))
    if (!page.next) break
  }
  assert.deepEqual(seen, ['long result', 'mid2 result', 'mid1 result', 'mid0 result', 'long intent'])
})

test('a file cut in the middle of a page is read as far as it goes', async t => {
  const { open, path } = await setUp(t)
  const log = open()
  for (let i = 0; i < 10; i++) log.record(record({ id: `c${i}` }))
  await log.flush()
  await truncate(path, (await stat(path)).size - 40)
  const { entries } = await log.search({ limit: 2 })
  assert.deepEqual(
    entries.map(({ id }) => id),
    ['c8', 'c7'],
  )
})
