import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { ShellSignal } from '../../schemas/shells.js'
import { createToken, revokeToken } from '../../src/auth/token-file.js'
import { replaceJson } from '../../src/storage/atomic-file.js'
import { eventually } from '../eventually.js'
import { startHackd } from '../hackd.js'

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex')
const mebibyte = 2 ** 20

const hackd = await startHackd({ after }, { config: { shells: { max: 1000, scrollbackBytes: 8 * mebibyte } } })

/** Prints `bytes` of numbered lines, unchanged by the terminal. */
const flood = (bytes: number) =>
  `stty raw -echo; seq -f 'line %012.0f ${'.'.repeat(40)}' 1 99999999 | sed 's/$/\\r/' | head -c ${bytes}`

/** An interactive bash without anybody's settings. */
const bash = () => hackd.runInShell("PS1='prompt> ' exec bash --norc --noprofile -i")

const residentMiB = (pid = hackd.child?.pid) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

test('a client that says nothing gets its screen soon, and one that says hello gets it at once', async () => {
  const shell = await hackd.runInShell('printf first; read go')
  const silent = await hackd.attach(shell).open()
  const { shellId, cwd, shell: file } = shell
  assert.deepEqual(await silent.frame('ready'), {
    ...{ type: 'ready', shellId, cols: 80, rows: 24, cwd, shell: file, status: 'running', offset: 0, oldest: 0 },
  })
  await silent.has('first')
  const greeting = await hackd.attach(shell).hello({ cols: 120, rows: 40 })
  const ready = await greeting.frame('ready')
  assert.deepEqual([ready.cols, ready.rows, ready.offset], [120, 40, 5])
  await greeting.has('first')
  assert.equal((await hackd.shell(shell.shellId)).cols, 120)
  silent.socket.terminate()
  greeting.type('\n')
  assert.deepEqual(await greeting.closed, { code: 1000, reason: 'shell_exited' })
})

test('all output comes before the exit, also of a shell that exits at once and of one that has exited', async () => {
  for (let turn = 0; turn < 10; turn++) {
    const shell = await hackd.runInShell(`${flood(100_000)}; exit 7`)
    const client = hackd.attach(shell)
    assert.deepEqual(await client.closed, { code: 1000, reason: 'shell_exited' })
    assert.equal(client.text.length, 100_000)
    assert.equal(client.offset, 100_000)
    assert.deepEqual(client.frames.at(-1), { type: 'exit', exitCode: 7, signal: null })
    if (turn > 0) continue
    const late = await hackd.attach(shell).hello({ from: 50_000 })
    await late.closed
    assert.equal((await late.frame('ready')).status, 'exited')
    assert.equal(late.text, client.text.slice(50_000))
    assert.ok(late.of('output').every(frame => frame.replay === true))
    assert.deepEqual(late.frames.at(-1), { type: 'exit', exitCode: 7, signal: null })
  }
})

test('whatever is no frame is typed as it is', async () => {
  const shell = await hackd.runInShell('stty raw -echo; printf ready; head -c 51 | od -An -v -tx1 -w100; read end')
  const client = await hackd.attach(shell).open()
  await client.has('ready')
  client.socket.send('plain ')
  client.socket.send('{"type":"unknown"}')
  client.socket.send('[1]')
  client.socket.send('"input"')
  client.socket.send(Buffer.from([0, 255, 128, 10]), { binary: true })
  client.type('é😀')
  client.socket.send(Buffer.from('{"type":"close"}'), { binary: true })
  const typed = Buffer.concat([
    Buffer.from('plain {"type":"unknown"}[1]"input"'),
    Buffer.from([0, 255, 128, 10]),
    Buffer.from('é😀{"type":"close"}'),
  ]).subarray(0, 51)
  await client.has([...typed].map(byte => byte.toString(16).padStart(2, '0')).join(' '))
  client.send({ type: 'close' })
  await client.closed
})

test('a frame with bad fields is answered, changes nothing, and the stream goes on', async () => {
  const shell = await hackd.createShell({ shell: '/bin/cat' })
  const client = await hackd.attach(shell).hello()
  await client.frame('ready')
  const cases = [
    [{ type: 'resize', cols: 0, rows: 10 }, 'invalid_cols'],
    [{ type: 'resize', cols: 10, rows: 1001 }, 'invalid_rows'],
    [{ type: 'resize', cols: 10 }, 'invalid_rows'],
    [{ type: 'hello', cols: 'wide' }, 'invalid_cols'],
    [{ type: 'hello', from: -1 }, 'invalid_request'],
    [{ type: 'input' }, 'invalid_request'],
    [{ type: 'input', data: 7 }, 'invalid_request'],
    [{ type: 'signal', signal: 'SIGSTOP' }, 'invalid_request'],
    [{ type: 'ack', offset: 'all' }, 'invalid_request'],
  ] as const
  for (const [frame] of cases) client.send(frame)
  await eventually('all answers', () => client.of('error').length === cases.length)
  assert.deepEqual(
    client.of('error').map(error => error.message),
    cases.map(([, code]) => code),
  )
  assert.equal((await hackd.shell(shell.shellId)).cols, 80)
  client.send({ type: 'input', data: 'still here\n', unknown: 'field' })
  await client.has('still here\r\nstill here')
  client.send({ type: 'close' })
  await client.closed
})

test('a place past the end is refused and may be named again; a later hello that names one moves there', async () => {
  const shell = await hackd.runInShell('stty -echo; printf 0123456789; read end')
  const client = await hackd.attach(shell).hello({ from: 1000 })
  assert.equal((await client.frame('error')).message, 'offset_out_of_range')
  assert.equal(client.of('ready').length, 0)
  await eventually('all output', async () => {
    const look = await hackd.attach(shell).hello({ from: 0 })
    await look.frame('ready')
    await delay(50)
    look.socket.terminate()
    return look.text === '0123456789'
  })
  await client.hello({ from: 4 })
  await client.has('456789')
  await client.hello({ from: 8 })
  await eventually('it moved', () => client.text === '89')
  await client.hello({ cols: 100, rows: 30 })
  await eventually('a size alone moves nothing', async () => (await hackd.shell(shell.shellId)).cols === 100)
  assert.equal(client.of('ready').length, 2)
  client.type('\n')
  await client.closed
  assert.equal(client.text, '89')
})

test('each of the eight signals reaches what runs in the foreground', async () => {
  const numbers: Record<ShellSignal, number> = {
    ...{ SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGKILL: 9, SIGUSR1: 10, SIGUSR2: 12, SIGTERM: 15, SIGTSTP: 20 },
  }
  const shell = await bash()
  const client = await hackd.attach(shell).hello()
  await client.has('prompt> ')
  for (const [signal, number] of Object.entries(numbers) as [ShellSignal, number][]) {
    client.type(`sh -c 'echo begun ${number}$((0)); exec sleep 100'\n`)
    await client.has(`begun ${number}0`)
    await eventually('sleep runs', () => sleepers(shell.pid ?? 0) > 0)
    client.send({ type: 'signal', signal }).type(`echo status=$?=${signal}\n`)
    await client.has(`status=${128 + number}=${signal}`)
  }
  // bash itself was never hit. It exits when it is told twice, though a job is stopped.
  client.type('kill -9 %1\nexit 5\nexit 5\n')
  assert.deepEqual((await client.frame('exit')).exitCode, 5)
  await client.closed
})

/** How many children of a shell have become `sleep` and are not stopped. */
function sleepers(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
  return children.filter(child => {
    try {
      return /^\d+ \(sleep\) S/.test(readFileSync(`/proc/${child}/stat`, 'latin1'))
    } catch {
      return false
    }
  }).length
}

test('close ends the shell and all that it started', async () => {
  const shell = await bash()
  const client = await hackd.attach(shell).hello()
  client.type('trap "" HUP; setsid sleep 1234 & (trap "" HUP; echo pid=$! trapped; sleep 4321)\n')
  await client.has(' trapped\r\n')
  client.send({ type: 'close' })
  await client.closed
  assert.equal((await client.frame('exit')).exitCode, null)
  const left = Number(/pid=(\d+) trapped/.exec(client.text)?.[1])
  assert.throws(() => process.kill(left, 0), { code: 'ESRCH' })
  assert.equal((await hackd.shell(shell.shellId)).status, 'exited')
})

test('a disconnect ends nothing, and every viewer has every byte, each resuming where it was', async () => {
  const shell = await hackd.runInShell(`read go; ${flood(6 * mebibyte)}`)
  const steady = await hackd.attach(shell).hello({ from: 0 })
  await steady.frame('ready')
  const others = Array.from({ length: 5 }, async () => {
    let text = ''
    for (let from = 0, done = false; !done; ) {
      const client = await hackd.attach(shell).hello({ from })
      const stop = 200_000 + Math.random() * 1_500_000
      await eventually('some output', () => client.offset > from + stop || client.of('exit').length > 0, 60_000)
      client.socket.terminate()
      done = client.of('exit').length > 0
      from = Math.max(from, client.offset)
      text += client.text
      assert.equal(client.of('gap').length, 0)
    }
    return sha256(text)
  })
  steady.type('go\n')
  const hashes = await Promise.all(others)
  await steady.closed
  assert.equal(steady.offset, steady.text.length)
  assert.deepEqual(hashes, Array(5).fill(sha256(steady.text)))
})

test('a stalled viewer costs little, holds nobody up, and is told of the gap', async () => {
  const shell = await hackd.runInShell(`read go; ${flood(48 * mebibyte)}; printf 'THE END'; read end`)
  const quick = await hackd.attach(shell).hello({ from: 0 })
  const stalled = await hackd.attach(shell).hello({ from: 0 })
  await Promise.all([quick.frame('ready'), stalled.frame('ready')])
  const before = residentMiB()
  stalled.socket.pause()
  quick.type('go\n')
  await eventually('the quick one has it all', () => quick.text.includes('THE END'), 120_000)
  assert.equal(quick.offset, quick.text.length)
  assert.ok(residentMiB() - before < 40, `hackd grew by ${residentMiB() - before} MiB`)
  stalled.socket.resume()
  await stalled.has('THE END')
  const gap = await stalled.frame('gap')
  assert.ok(gap.oldest > gap.from)
  const next = stalled.frames[stalled.frames.indexOf(gap) + 1]
  assert.ok(next?.type === 'output' && next.replay && next.data.startsWith('\x1bc'))
  quick.type('\r\n').socket.terminate()
  await stalled.closed
})

test('a client that acknowledges is sent at most 128 KiB more', async () => {
  const shell = await hackd.runInShell(`read go; ${flood(mebibyte)}`)
  const client = (await hackd.attach(shell).hello({ from: 0 })).send({ type: 'ack', offset: 0 })
  await client.frame('ready')
  client.type('go\n')
  for (let acknowledged = 0; acknowledged < 512 * 1024; acknowledged += 100_000) {
    client.send({ type: 'ack', offset: acknowledged })
    await eventually('the window is used up', () => client.offset > acknowledged + 128 * 1024 - 4)
    await delay(30)
    assert.ok(client.offset <= acknowledged + 128 * 1024)
  }
  client.send({ type: 'ack', offset: 10 * mebibyte })
  while (client.of('exit').length === 0) {
    client.send({ type: 'ack', offset: client.offset })
    await delay(10)
  }
  assert.ok(client.text.length >= mebibyte)
})

test('input that a program does not read stays with its sender, and none of it is lost', async () => {
  const bytes = 12 * mebibyte
  const shell = await hackd.runInShell(
    `stty raw -echo; printf ready; while [ ! -e ${hackd.repo}/go ]; do sleep 0.1; done; head -c ${bytes} | sha256sum`,
  )
  const client = await hackd.attach(shell).hello()
  await client.has('ready')
  const before = residentMiB()
  const paste = Buffer.alloc(bytes, 'what nobody reads yet. ')
  for (let at = 0; at < bytes; at += 65536) client.socket.send(paste.subarray(at, at + 65536))
  await delay(1500)
  assert.ok(client.socket.bufferedAmount > mebibyte, 'the sender still has most of it')
  assert.ok(residentMiB() - before < 32, `hackd grew by ${residentMiB() - before} MiB`)
  const opener = await hackd.attach(await hackd.createShell({ shell: '/bin/sh' })).open()
  opener.type('touch go; exit\n')
  await opener.closed
  await eventually('the hash', () => client.text.includes(sha256(paste)), 60_000)
  await client.closed
})

test('no input of one shell is ever in another', async () => {
  const read = 'stty raw -echo; printf ready; head -c 20000 | tr -d "\\n" | sha256sum'
  await Promise.all(
    Array.from({ length: 6 }, async (_, lane) => {
      for (let turn = 0; turn < 8; turn++) {
        const shell = await hackd.runInShell(turn % 2 ? 'exec sleep 0.05' : read)
        const client = await hackd.attach(shell).open()
        const text = `lane ${lane} turn ${turn} `.repeat(2000).slice(0, 20_000)
        if (turn % 2 === 0) await client.has('ready')
        client.type(text)
        await client.closed
        if (turn % 2 === 0) assert.ok(client.text.includes(sha256(text)), `lane ${lane}, turn ${turn}`)
      }
    }),
  )
})

test('a frame that is too big, a stream that is none', async () => {
  const shell = await bash()
  const big = await hackd.attach(shell).open()
  big.socket.send(Buffer.alloc(mebibyte + 1))
  assert.equal((await big.closed).code, 1009)
  await assert.rejects(hackd.attach({ shellId: 'none' }).closed, /404/)
  await assert.rejects(hackd.attach(shell, { token: 'hack_wrong' }).closed, /401/)
  const { token } = await createToken(hackd.home, { scope: 'read' })
  await eventually('the new token', async () => {
    const refused = await hackd.attach(shell, { token }).closed.catch(error => String(error))
    return /403/.test(String(refused))
  })
  await hackd.call('DELETE', hackd.shells(`/${shell.shellId}`))
})

test('attaching, signals and closing are on record, with bytes in and out and no content', async () => {
  const shell = await bash()
  const client = await hackd.attach(shell).hello()
  client.type('echo a-secret-that-was-typed\n')
  await client.has('\ra-secret-that-was-typed')
  client.send({ type: 'signal', signal: 'SIGINT' }).send({ type: 'close' })
  await client.closed
  const entries = async () => {
    const { body } = await hackd.call('GET', '/v1/audit?limit=100')
    return (body.entries as Record<string, unknown>[]).filter(entry => entry.shellId === shell.shellId)
  }
  const lines = async () => (await entries()).map(({ phase, action }) => `${phase} ${action}`).toReversed()
  await eventually(
    'the results',
    async () => (await lines()).filter(line => /^result shell\.(signal|close|detach)$/.test(line)).length === 3,
  )
  assert.deepEqual(
    (await lines()).filter(line => !line.includes('shell.create')).toSorted(),
    [
      'intent shell.attach',
      'intent shell.close',
      'intent shell.signal',
      'result shell.close',
      'result shell.detach',
      'result shell.signal',
    ].toSorted(),
  )
  const detach = (await entries()).find(({ action }) => action === 'shell.detach')
  assert.ok(Number(detach?.bytesIn) > 100 && Number(detach?.bytesOut) > 200)
  for (const folder of [hackd.home.audit]) assert.ok(!readFileSync(folder, 'utf8').includes('a-secret-that-was-typed'))
  assert.ok(!hackd.log.includes('a-secret-that-was-typed'))
})

test('a revoked token, writes turned off and the end of hackd end streams, and say why', async () => {
  const shell = await bash()
  const { token, id } = await createToken(hackd.home, { scope: 'write' })
  await eventually('the new token', async () => {
    const client = hackd.attach(shell, { token })
    client.socket.once('open', () => client.socket.terminate())
    return client.closed.then(
      () => true,
      () => false,
    )
  })
  const one = await hackd.attach(shell, { token }).hello()
  const two = await hackd.attach(shell).hello()
  await Promise.all([one.frame('ready'), two.frame('ready')])
  await revokeToken(hackd.home, id)
  assert.equal((await one.closed).code, 4401)
  const config = JSON.parse(readFileSync(hackd.home.config, 'utf8'))
  const { gateway, ...rest } = config.controlPlane
  await replaceJson(hackd.home.config, { controlPlane: { ...rest, gateway: { ...gateway, allowWrites: false } } })
  assert.equal((await two.closed).code, 4403)
  assert.equal((await hackd.shell(shell.shellId)).status, 'running')
  await replaceJson(hackd.home.config, { controlPlane: config.controlPlane })
  await eventually('writes are on', async () => (await hackd.call('POST', hackd.shells(), { cols: 0 })).status === 400)
  const three = await hackd.attach(shell).hello()
  await three.frame('ready')
  const exited = hackd.kill('SIGTERM')
  assert.deepEqual(await three.closed, { code: 1001, reason: 'shutting_down' })
  assert.equal(await exited, 0)
  assert.throws(() => process.kill(shell.pid ?? 0, 0), { code: 'ESRCH' })
  await hackd.start()
  assert.equal((await hackd.call('GET', hackd.shells(`/${shell.shellId}`))).body.error, 'shell_not_found')
})
