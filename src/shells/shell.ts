import { setTimeout as delay } from 'node:timers/promises'
import { identify, type ProcessIdentity, statProcess } from '../processes/identity.js'
import { endTree, signalGroup } from '../processes/tree.js'
import { Output } from './output.js'
import { Pty, type PtyExit, type PtyOptions } from './pty.js'
import { Screen, type Snapshot } from './screen.js'
import { type ShellExit, type ViewedShell, Viewer } from './viewer.js'

/** How far the most advanced viewer may be behind before the terminal waits, and where it goes on. */
const highWaterBytes = 256 * 1024
const lowWaterBytes = 128 * 1024
/** How long a full-screen program is given to notice that its terminal changed its size. */
const nudgeMs = 120

export interface ShellOptions extends PtyOptions {
  /** `NAME=value`, an entry of `env` that no other shell has. */
  mark: string
  scrollbackBytes: number
  /** Once, before any viewer hears of it. */
  onExit: (exit: ShellExit) => void
}

/** A program on a terminal, what it printed, and who watches. It ends once: running → exited. */
export class Shell implements ViewedShell {
  readonly output: Output
  /** Resolves when it has exited and all its output is there. */
  readonly ended: Promise<void>
  readonly #options: ShellOptions
  readonly #pty: Pty
  readonly #identity: ProcessIdentity | undefined
  readonly #screen: Screen
  readonly #viewers = new Set<Viewer>()
  #cols: number
  #rows: number
  #exit: ShellExit | undefined
  #paused = false
  #seen = false
  #quietSince = Date.now()
  #nudge: NodeJS.Timeout | undefined
  #ending: Promise<void> | undefined

  /** @throws Error when the machine has no process or no pseudo-terminal left. */
  constructor(options: ShellOptions) {
    this.#options = options
    this.#cols = options.cols
    this.#rows = options.rows
    this.output = new Output(options.scrollbackBytes)
    this.#screen = new Screen(this.output.scrollback, options.cols, options.rows)
    let announce = () => {}
    this.ended = new Promise(resolve => {
      announce = resolve
    })
    const onExit = (exit: PtyExit) => {
      this.#finish(exit)
      announce()
    }
    this.#pty = new Pty(options, { onOutput: bytes => this.#append(bytes), onExit })
    this.#identity = identify(this.#pty.pid)
  }

  get pid(): number {
    return this.#pty.pid
  }

  get size(): { cols: number; rows: number } {
    return { cols: this.#cols, rows: this.#rows }
  }

  get exit(): ShellExit | undefined {
    return this.#exit
  }

  get viewers(): number {
    return this.#viewers.size
  }

  /** Since when nothing was printed and nobody watched, in ms since the epoch; undefined while somebody does. */
  get quietSince(): number | undefined {
    return this.#viewers.size > 0 ? undefined : this.#quietSince
  }

  #append(bytes: Buffer): void {
    // In pieces of which the scrollback holds several, so that none is pushed out before the screen has seen it.
    const most = Math.ceil(this.output.scrollback.capacity / 4)
    for (let at = 0; at < bytes.length; at += most) {
      const piece = bytes.subarray(at, at + most)
      this.#screen.makeRoom(piece.length)
      this.output.append(piece)
    }
    this.#screen.follow()
    this.#quietSince = Date.now()
    if (this.#viewers.size === 0) this.output.passed(this.output.end)
    for (const viewer of this.#viewers) viewer.notify()
    this.#pace()
  }

  #finish(exit: PtyExit): void {
    this.output.finish()
    this.#exit = { type: 'exit', ...exit }
    this.#options.onExit(this.#exit)
    clearTimeout(this.#nudge)
    for (const viewer of this.#viewers) viewer.notify()
  }

  /** The terminal waits for the viewer that is furthest, and with no viewer for nobody. */
  #pace(): void {
    let furthest = this.#viewers.size === 0 ? this.output.end : 0
    for (const viewer of this.#viewers) furthest = Math.max(furthest, viewer.position)
    const behind = this.output.end - furthest
    if (!this.#paused && behind > highWaterBytes) {
      this.#paused = true
      this.#pty.pause()
    } else if (this.#paused && behind < lowWaterBytes) {
      this.#paused = false
      this.#pty.resume()
    }
  }

  /**
   * A viewer from byte `from` of the output on. Without `from` it gets what its screen needs: everything, if nobody was
   * here before and everything is still kept, else the screen itself.
   */
  async attach(from: number | undefined): Promise<Viewer> {
    const fresh = !this.#seen && this.output.oldest === 0
    this.#seen = true
    const begin = from ?? (fresh ? 0 : await this.snapshot())
    const viewer = new Viewer(this, begin)
    this.#viewers.add(viewer)
    this.#pace()
    return viewer
  }

  async snapshot(): Promise<Snapshot> {
    const snapshot = await this.#screen.snapshot()
    if (snapshot.incomplete) this.#nudgeProgram()
    return snapshot
  }

  moved(): void {
    this.#pace()
    let last = this.output.end
    for (const viewer of this.#viewers) last = Math.min(last, viewer.position)
    this.output.passed(last)
  }

  left(viewer: Viewer): void {
    this.#viewers.delete(viewer)
    this.#quietSince = Date.now()
    this.moved()
  }

  /** Resolves when the sender may go on (see InputWriter). */
  write(bytes: Buffer): Promise<void> {
    return this.#pty.write(bytes)
  }

  /** The last size wins; after the end it only changes the screen. */
  resize(cols: number, rows: number): void {
    if (cols === this.#cols && rows === this.#rows) return
    this.#cols = cols
    this.#rows = rows
    this.#screen.resize(cols, rows)
    this.#pty.resize(cols, rows)
  }

  /** Another size for a moment: a full-screen program draws all of its screen again. */
  #nudgeProgram(): void {
    if (this.#exit || this.#nudge) return
    this.#pty.resize(this.#cols, this.#rows > 1 ? this.#rows - 1 : 2)
    this.#nudge = setTimeout(() => {
      this.#nudge = undefined
      this.#pty.resize(this.#cols, this.#rows)
      this.#screen.redrawn()
    }, nudgeMs)
  }

  /** Sends `signal` to the process group in the terminal's foreground. */
  signal(signal: NodeJS.Signals): void {
    const stat = this.#exit ? undefined : statProcess(this.#pty.pid)
    if (stat === undefined || stat.startTime !== this.#identity?.startTime) return
    signalGroup(stat.tpgid > 1 ? stat.tpgid : this.#pty.pid, signal)
  }

  /** Hangs up and, after the grace, kills: everything that was started here. Resolves when it has exited. */
  end(graceMs: number): Promise<void> {
    this.#ending ??= this.#end(graceMs).finally(() => {
      this.#ending = undefined
    })
    return this.#ending
  }

  async #end(graceMs: number): Promise<void> {
    if (this.#exit) return
    const query = { mark: this.#options.mark, leader: this.#identity }
    await endTree({ query, first: 'SIGHUP', graceMs })
    await this.ended
  }

  /** Lets go of what it kept, after its viewers were given `patienceMs` to hear of the end. Call it after the end. */
  async close(patienceMs = 0): Promise<void> {
    const viewers = [...this.#viewers]
    const patience = delay(patienceMs, undefined, { ref: false })
    await Promise.race([Promise.all(viewers.map(viewer => viewer.done)), patience])
    for (const viewer of viewers) viewer.close()
    this.#screen.close()
  }
}
