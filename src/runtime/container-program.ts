// Runs one job in a container, beside hackd and not in it, so that neither output nor the exit status depends on hackd's life:
// `node container-program.js TASK`. It is a command like any other to the runner that supervises it; what it prints is the job's log.
import { appendFileSync, readFileSync, unlinkSync } from 'node:fs'
import { type ContainerNote, type ContainerTask, engineSentence } from './container-task.js'
import { freshContainer, NotStarted, pullImage, serviceExec } from './container-work.js'
import { findEndpoint } from './endpoint.js'
import { Engine } from './engine.js'
import { unframe } from './log-frames.js'

const deadlineMs = 60_000
/** The exit status of docker(1) where it is not the command's. */
const ownFailure = 125
const lastWordsBytes = 1000

const taskFile = process.argv[2] ?? ''
const task = JSON.parse(readFileSync(taskFile, 'utf8')) as ContainerTask
// It may hold secrets.
unlinkSync(taskFile)
/** From here on there is something to clear away, or to write down, before this program may end. */
let committed = false
let abandoned = false
let started = false
let logClosed = false
process.stdout.on('error', () => {
  logClosed = true
})
process.on('SIGTERM', () => {
  if (!committed) process.exit(ownFailure)
  // Once started, it is ended inside; what it says then, and its exit status, are still to come.
  abandoned = true
})
process.exit(await run().catch(fail))

async function run(): Promise<number> {
  const configured = task.dockerHost
  const engine = await Engine.connect(await findEndpoint({ configured, environment: process.env }), deadlineMs)
  const { image, pull } = task.target
  if (image !== undefined && pull) await pullImage(engine, image)
  committed = true
  const work = await (image === undefined ? serviceExec : freshContainer)(engine, task)
  let exitCode: number
  try {
    if (abandoned) throw new Error('it was ended before it was started')
    const stream = await work.start()
    started = true
    note({ started: work.container })
    exitCode = await work.exitCode(await copy(stream))
    note({ exitCode })
  } finally {
    await work.clear().catch(() => undefined)
  }
  return exitCode
}

/** Returns the end of it, as text. */
async function copy(stream: NodeJS.ReadWriteStream): Promise<string> {
  let last = Buffer.alloc(0)
  if (task.stdin) process.stdin.pipe(stream)
  stream.on('error', () => undefined)
  try {
    for await (const bytes of unframe(stream as AsyncIterable<Buffer>)) {
      await new Promise(resolve => process.stdout.write(bytes, resolve))
      if (logClosed) break
      last = Buffer.concat([last, bytes]).subarray(-lastWordsBytes)
    }
  } catch {
    // The engine went away: what it says of the end when it is back counts.
  }
  if (logClosed) throw new Error('the log takes no more')
  return last.toString().trim()
}

function fail(error: unknown): number {
  const sentence = engineSentence(error)
  const isNew = !(error instanceof NotStarted)
  if (isNew) process.stdout.write(`${sentence}\n`)
  note({ failure: started && isNew ? 'lost' : 'spawn_error', error: sentence })
  return ownFailure
}

/** Short, so that it fits the block that the journal owns already. */
function note(what: ContainerNote): void {
  const { error } = what
  appendFileSync(
    task.journal,
    `container ${JSON.stringify({ ...what, ...(error && { error: error.slice(0, 1000) }) })}\n`,
  )
}
