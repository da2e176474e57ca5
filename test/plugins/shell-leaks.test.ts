import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { after, test } from 'node:test'
import { eventually } from '../eventually.js'
import { startHackd } from '../hackd.js'

/** HACKD_TEST_SHELLS=1000 is the long form. */
const count = Number(process.env.HACKD_TEST_SHELLS ?? 100)
const lanes = 10

const hackd = await startHackd({ after }, { config: { gateway: { rateLimit: { perMinute: 1e9 } } } })
const pid = () => hackd.child?.pid ?? 0

function descriptors(of: number): string[] {
  return readdirSync(`/proc/${of}/fd`).flatMap(fd => {
    try {
      return [readlinkSync(`/proc/${of}/fd/${fd}`)]
    } catch {
      return []
    }
  })
}

const terminals = (of: number) => descriptors(of).filter(path => /ptmx|\/dev\/pts/.test(path)).length

/** The pids of all children, by what they are (proc(5)): Z is a zombie. */
function children(state?: string): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => {
      try {
        const [, found, parent] = /^\d+ \(.*\) (\S) (\d+)/s.exec(readFileSync(`/proc/${name}/stat`, 'latin1')) ?? []
        return Number(parent) === pid() && (state === undefined || state === found) ? [Number(name)] : []
      } catch {
        return []
      }
    })
}

test(`after ${count} shells, descriptors, terminals and zombies are back where they were`, {
  timeout: 600_000,
}, async () => {
  const openAndEnd = async (turn: number) => {
    const shell = await hackd.runInShell(turn % 3 === 0 ? `echo shell ${turn}` : `echo shell ${turn}; read end`)
    const client = await hackd.attach(shell).hello({ from: 0 })
    await client.has(`shell ${turn}\r\n`)
    if (turn % 3 === 1) client.send({ type: 'close' })
    if (turn % 3 === 2) client.type('\n')
    await client.closed
    assert.equal(client.of('exit').length, 1)
  }
  // What is opened once and kept does not count.
  for (let turn = 0; turn < lanes; turn++) await openAndEnd(turn)
  await eventually('all is quiet', () => terminals(pid()) === 0 && children().length === 0)
  const before = descriptors(pid()).filter(path => !path.startsWith('socket:')).length
  let next = 0
  const lane = async () => {
    while (next < count) await openAndEnd(next++)
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  await eventually('no terminal is left', () => terminals(pid()) === 0)
  assert.deepEqual(children('Z'), [])
  await eventually('no child is left', () => children().length === 0)
  await eventually(
    'descriptors are back',
    () => descriptors(pid()).filter(path => !path.startsWith('socket:')).length <= before,
  )
})

test('neither a shell nor a job nor what keeps its log holds a terminal of another', async () => {
  const look = 'cd /proc/self/fd; echo fds: *'
  const shells = await Promise.all([1, 2, 3].map(() => hackd.runInShell('read end')))
  assert.ok(terminals(pid()) >= 3)
  const inShell = hackd.attach(await hackd.runInShell(`exec bash -c '${look}'`))
  await inShell.closed
  // The shell's own script, and the folder that it looks into.
  assert.match(inShell.text, /fds: 0 1 2 3( 255)?\r\n/)
  const job = await hackd.createJob({ command: ['bash', '-c', `${look}; sleep 100`] })
  const stream = await hackd.stream(job.jobId).hello()
  await eventually('it looks', () => stream.text.includes('fds:'))
  assert.match(stream.text, /fds: 0 1 2 3\n/)
  const relatives = readdirSync('/proc').filter(name => {
    try {
      return readFileSync(`/proc/${name}/environ`, 'latin1').includes(`HACK_JOB_ID=${job.jobId}`)
    } catch {
      return false
    }
  })
  assert.ok(relatives.length >= 3, 'the wrapper, the writer and the job')
  for (const relative of relatives) assert.equal(terminals(Number(relative)), 0)
  // And so the end of hackd, however it comes, hangs the shells up.
  await hackd.kill('SIGKILL')
  await eventually('the shells are gone', () => shells.every(shell => !isAlive(shell.pid ?? 0)))
  assert.ok(isAlive((await reopened(job.jobId)) ?? 0), 'the job goes on')
})

async function reopened(jobId: string): Promise<number | undefined> {
  await hackd.start()
  return (await hackd.job(jobId)).pid
}

function isAlive(of: number): boolean {
  try {
    process.kill(of, 0)
    return true
  } catch {
    return false
  }
}
