import { closeSync, constants, existsSync, openSync, readSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants as osConstants } from 'node:os'
import { dirname, resolve } from 'node:path'
import { ReadStream } from 'node:tty'
import { InputWriter } from './input-writer.js'

/** node-pty's own binding. Its JavaScript half loses output at exit and writes to descriptors that it has closed. */
interface NativePty {
  fork(
    file: string,
    args: string[],
    env: string[],
    cwd: string,
    cols: number,
    rows: number,
    uid: number,
    gid: number,
    utf8: boolean,
    helperPath: string,
    onExit: (exitCode: number, signal: number) => void,
  ): { fd: number; pid: number; pty: string }
  resize(fd: number, cols: number, rows: number): void
}

const require = createRequire(import.meta.url)
const utilsPath = require.resolve('node-pty/lib/utils.js')
const { loadNativeModule } = require(utilsPath) as { loadNativeModule(name: 'pty'): { dir: string; module: NativePty } }
const { dir, module: native } = loadNativeModule('pty')
const helperPath = resolve(dirname(utilsPath), dir, 'spawn-helper')

/**
 * Masters of other terminals are inherited over fork and exec. bash closes them all before it becomes the shell; `-p`
 * keeps it from reading start-up files that the environment names. (On macOS the binding closes them itself.)
 */
const closeDescriptors = `for fd in /proc/self/fd/*; do fd="\${fd##*/}"; if ((fd > 2)); then eval "exec $fd>&-"; fi; done
unset fd; exec "$@"`
const wrapper = ['/bin/bash', '/usr/bin/bash', '/usr/local/bin/bash'].find(path => existsSync(path))

function wrap(file: string): [file: string, args: string[]] {
  if (process.platform !== 'linux' || wrapper === undefined) return [file, []]
  return [wrapper, ['-p', '-c', closeDescriptors, 'shell', file]]
}

/** The most that one read returns before the kernel has to be asked again: N_TTY's buffer. A shorter read found it empty. */
const fullRead = 4095
export const batchBytes = 64 * 1024
/** Shared by all terminals: what one reads is dealt with before another reads. */
const batch = Buffer.allocUnsafeSlow(batchBytes)
/** More than the kernel can hold for a terminal (64 KiB of flip buffers and N_TTY's 4 KiB). */
const kernelHolds = 256 * 1024

export interface PtyOptions {
  file: string
  cwd: string
  env: Record<string, string>
  cols: number
  rows: number
}

export interface PtyExit {
  exitCode: number | null
  signal: NodeJS.Signals | null
}

export interface PtyListener {
  /** Output in order, in pieces of up to 64 KiB, which are overwritten afterwards. */
  onOutput(bytes: Buffer): void
  /** Once, after all the output that the shell itself wrote. */
  onExit(exit: PtyExit): void
}

/**
 * One process on a pseudo-terminal of its own, as leader of its session.
 *
 * The slave is held open, so that the kernel never hangs the terminal up under output that was not read yet; when the
 * process has ended, the master is read until the kernel says that it is empty, and only then closed.
 */
export class Pty {
  readonly pid: number
  readonly #fd: number
  readonly #slave: number
  readonly #reader: ReadStream
  readonly #writer: InputWriter
  readonly #listener: PtyListener
  #open = false

  /** @throws Error when the machine has no process or no pseudo-terminal left. */
  constructor(options: PtyOptions, listener: PtyListener) {
    const [file, args] = wrap(options.file)
    const environment = Object.entries(options.env).map(([name, value]) => `${name}=${value}`)
    const onExit = (code: number, signal: number) => this.#finish(code, signal)
    const { cwd, cols, rows } = options
    const forked = native.fork(file, args, environment, cwd, cols, rows, -1, -1, true, helperPath, onExit)
    this.pid = forked.pid
    this.#fd = forked.fd
    this.#listener = listener
    this.#writer = new InputWriter(forked.fd)
    try {
      this.#slave = openSync(forked.pty, constants.O_RDWR | constants.O_NOCTTY)
      this.#reader = this.#startReader()
    } catch (error) {
      process.kill(forked.pid, 'SIGKILL')
      closeSync(forked.fd)
      throw error
    }
    this.#open = true
  }

  #startReader(): ReadStream {
    const buffer = Buffer.allocUnsafeSlow(batchBytes)
    const callback = (length: number): boolean => {
      if (this.#open) this.#listener.onOutput(this.#gather(buffer.subarray(0, length)))
      return true
    }
    // @types/node does not know that the options are handed on to net.Socket (nodejs.org/api/tty.html).
    const Reader = ReadStream as unknown as new (fd: number, options: object) => ReadStream
    const reader = new Reader(this.#fd, { onread: { buffer, callback } })
    reader.on('error', () => {})
    reader.resume()
    return reader
  }

  /** While a flood lasts, goes on reading at once: fewer wake-ups, and pieces that are worth a frame. */
  #gather(first: Buffer): Buffer {
    if (first.length < fullRead) return first
    return batch.subarray(0, this.#fill(first.copy(batch)))
  }

  /** Reads into the batch from `length` on until it is nearly full or the kernel has no more; returns the new length. */
  #fill(length: number): number {
    let filled = length
    while (batch.length - filled > fullRead) {
      const count = this.#tryRead(filled)
      filled += count
      if (count === 0) break
    }
    return filled
  }

  #tryRead(at: number): number {
    try {
      return readSync(this.#fd, batch, at, batch.length - at, null)
    } catch {
      // EAGAIN: empty. The kernel says so only after its own queues are worked off (n_tty_read in drivers/tty/n_tty.c).
      return 0
    }
  }

  #finish(code: number, signal: number): void {
    if (!this.#open) return
    for (let drained = 0; drained < kernelHolds; ) {
      const length = this.#fill(0)
      if (length === 0) break
      drained += length
      this.#listener.onOutput(batch.subarray(0, length))
    }
    this.#close()
    this.#listener.onExit(
      signal > 0 ? { exitCode: null, signal: signalName(signal) } : { exitCode: code, signal: null },
    )
  }

  /** Hands input to the terminal; resolves when the sender may go on (see InputWriter). */
  write(bytes: Buffer): Promise<void> {
    return this.#writer.write(bytes)
  }

  /** Does nothing after the end. */
  resize(cols: number, rows: number): void {
    if (this.#open) native.resize(this.#fd, cols, rows)
  }

  /** Stops reading: once its buffers are full, the kernel makes the programs wait. */
  pause(): void {
    if (this.#open) this.#reader.pause()
  }

  resume(): void {
    if (this.#open) this.#reader.resume()
  }

  #close(): void {
    this.#open = false
    this.#writer.close()
    this.#reader.destroy()
    closeSync(this.#slave)
  }
}

function signalName(number: number): NodeJS.Signals {
  const entry = Object.entries(osConstants.signals).find(([, value]) => value === number)
  return (entry?.[0] ?? `SIG${number}`) as NodeJS.Signals
}
