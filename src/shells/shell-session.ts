import { isUtf8 } from 'node:buffer'
import type { Static, TSchema } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import {
  ShellAck,
  ShellClose,
  type ShellFrame,
  ShellHello,
  ShellInput,
  ShellResize,
  ShellSignalFrame,
} from '../../schemas/shells.js'
import { GatewayError } from '../errors.js'
import type { OutputChunk } from './output.js'
import type { Attachment, ShellHost, ShellRef } from './shell-host.js'

/** What a session needs of its connection. */
export interface ShellPeer {
  /** Sends a text frame; resolves when the peer has taken enough of what was sent for more to be made. */
  send(frame: string | Buffer): Promise<void>
  /** Bytes of frames that the system has not taken yet. */
  readonly buffered: number
  /** Does something that has to be on record by itself. @throws GatewayError `audit_unavailable`: then it did not happen */
  onRecord(action: string, act: () => unknown): Promise<void>
  /** Aborts when the connection is over. */
  readonly signal: AbortSignal
}

/** Why a session is over, as a WebSocket close (RFC 6455, §7.4). */
export interface ShellSessionEnd {
  code: number
  reason: string
}

/** How long a client that says nothing waits for its screen. */
const patienceMs = 200

const clientFrames = {
  hello: ShellHello,
  input: ShellInput,
  resize: ShellResize,
  signal: ShellSignalFrame,
  ack: ShellAck,
  close: ShellClose,
}
type ClientFrame = Static<(typeof clientFrames)[keyof typeof clientFrames]>
const checks: ReadonlyMap<unknown, TypeCheck<TSchema>> = new Map(
  Object.entries<TSchema>(clientFrames).map(([type, schema]) => [type, TypeCompiler.Compile(schema)]),
)

/** Viewers at the same place are given the same chunk: it is encoded once. */
const encoded = new WeakMap<OutputChunk, Buffer>()
/** More than any frame needs: JSON makes at most six bytes of one. */
const frameBytes = 512 * 1024
/** Where frames are made, as long as the system takes each of them at once: a flood then allocates nothing. */
let scratch = Buffer.alloc(0)

/** One client's stream of one shell (contract of …/shells/:shellId/stream). It knows frames, and no sockets. */
export class ShellSession {
  readonly #host: ShellHost
  readonly #ref: ShellRef
  readonly #peer: ShellPeer
  #heard = false
  /** Where the client wants to begin, until it does. */
  #asked: { from?: number | undefined } | undefined
  /** From an answered question on, as long as the answer holds. */
  #begun = false
  #wake: () => void = () => undefined
  #attachment: Attachment | undefined
  #acknowledged: number | undefined
  /** What has to be finished before the next frame is looked at. */
  #turn: Promise<void> | undefined

  constructor(host: ShellHost, ref: ShellRef, peer: ShellPeer) {
    this.#host = host
    this.#ref = ref
    this.#peer = peer
    peer.signal.addEventListener('abort', () => this.#interrupt())
  }

  /** Takes a frame as it came; resolves when the client may send more. Frames take effect in their order. */
  take(bytes: Buffer, isBinary: boolean): Promise<void> {
    const message = isBinary ? undefined : parseFrame(bytes)
    this.#hear(message?.type)
    const isRecorded = message?.type === 'signal' || message?.type === 'close'
    if (!this.#turn && !isRecorded) return this.#handle(message, bytes)
    return this.#queue(() => this.#handle(message, bytes))
  }

  /** The first frame begins it, or the end of patience; a hello says where. */
  #hear(type: unknown): void {
    if (!this.#heard && type !== 'hello') this.#ask({})
    this.#heard = true
  }

  /** Holds the frames that follow back until `act` is done. */
  #queue(act: () => Promise<void>): Promise<void> {
    const turn = (this.#turn ?? Promise.resolve()).then(act).finally(() => {
      if (this.#turn === turn) this.#turn = undefined
    })
    this.#turn = turn
    return turn
  }

  async #handle(message: { type: unknown } | undefined, bytes: Buffer): Promise<void> {
    try {
      const check = checks.get(message?.type)
      if (!message || !check) return await this.#host.input(this.#ref, bytes)
      if (!check.Check(message)) return await this.#send(violation(check, message))
      await this.#obey(message as ClientFrame)
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      await this.#send({ type: 'error', message: error.code, detail: error.message })
    }
  }

  #obey(frame: ClientFrame): Promise<void> | void {
    switch (frame.type) {
      case 'input':
        return this.#host.input(this.#ref, Buffer.from(frame.data))
      case 'hello':
        return this.#greet(frame)
      case 'resize':
        return void this.#host.resize(this.#ref, frame.cols, frame.rows)
      case 'ack':
        this.#acknowledged = frame.offset
        return void this.#attachment?.acknowledge(frame.offset)
      case 'signal':
        return this.#peer.onRecord('shell.signal', () => this.#host.signal(this.#ref, frame.signal))
      case 'close':
        return this.#peer.onRecord('shell.close', () => this.#host.end(this.#ref))
    }
  }

  /** Its size holds whenever it comes; its place as well, though one that names none changes nothing once it has begun. */
  #greet({ cols, rows, from }: Static<typeof ShellHello>): undefined {
    if (from !== undefined || !this.#begun) this.#ask({ from })
    if (cols === undefined && rows === undefined) return
    const now = this.#host.get(this.#ref)
    this.#host.resize(this.#ref, cols ?? now.cols, rows ?? now.rows)
  }

  #ask(start: { from?: number | undefined }): void {
    this.#asked = start
    this.#begun = true
    this.#interrupt()
  }

  #interrupt(): void {
    this.#attachment?.close()
    this.#wake()
  }

  /** Serves one wish after the other, until the shell has exited or the client is gone. */
  async run(): Promise<ShellSessionEnd> {
    const patience = setTimeout(() => this.#hear(undefined), patienceMs)
    try {
      while (!this.#peer.signal.aborted) {
        const start = await this.#nextStart()
        if (start && (await this.#serve(start))) return { code: 1000, reason: 'shell_exited' }
      }
      return { code: 1000, reason: '' }
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      await this.#send({ type: 'error', message: error.code, detail: error.message })
      return { code: 1008, reason: error.code }
    } finally {
      clearTimeout(patience)
    }
  }

  async #nextStart(): Promise<{ from?: number | undefined } | undefined> {
    if (!this.#asked && !this.#peer.signal.aborted)
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    const start = this.#asked
    this.#asked = undefined
    return start
  }

  /** True when the exit has been sent; false when the client wants another place, or nothing more. */
  async #serve(start: { from?: number | undefined }): Promise<boolean> {
    const attachment = await this.#attach(start)
    if (!attachment) return false
    this.#attachment = attachment
    try {
      // Both may have come while the screen was drawn.
      if (this.#asked || this.#peer.signal.aborted) return false
      if (this.#acknowledged !== undefined) attachment.acknowledge(this.#acknowledged)
      await this.#send(readyFrame(attachment))
      for await (const event of attachment.events) {
        if (event.type !== 'output') await this.#send(event)
        else if (attachment.isShared) await this.#peer.send(sharedFrame(event))
        else await this.#sendAlone(event)
        if (event.type === 'exit') return true
      }
      return false
    } finally {
      this.#attachment = undefined
      attachment.close()
    }
  }

  /** Undefined when the client asked for what is not there yet; it may ask again. */
  async #attach(start: { from?: number | undefined }): Promise<Attachment | undefined> {
    try {
      return await this.#host.attach(this.#ref, start)
    } catch (error) {
      if (!(error instanceof GatewayError && error.code === 'offset_out_of_range')) throw error
      this.#begun = this.#asked !== undefined
      await this.#send({ type: 'error', message: error.code, detail: error.message })
      return undefined
    }
  }

  #sendAlone(chunk: OutputChunk): Promise<void> {
    const sent = this.#peer.send(encoded.get(chunk) ?? encodeOutput(chunk, scratchFor(chunk)))
    if (this.#peer.buffered > 0) scratch = Buffer.alloc(0)
    return sent
  }

  #send(frame: ShellFrame): Promise<void> {
    return this.#peer.send(JSON.stringify(frame))
  }
}

/** The JSON object in a text frame; undefined when there is none, and the text is what somebody typed. */
function parseFrame(bytes: Buffer): { type: unknown } | undefined {
  if (!/^[ \t\r\n]*\{/.test(bytes.toString('latin1', 0, 64))) return undefined
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return undefined
  }
}

function violation(check: TypeCheck<TSchema>, message: unknown): ShellFrame {
  const error = check.Errors(message).First()
  const code: string = error?.schema['x-invalid'] ?? 'invalid_request'
  return { type: 'error', message: code, detail: `${error?.path.slice(1)}: ${error?.message}.` }
}

function readyFrame({ shell, offset, oldest }: Attachment): ShellFrame {
  const { shellId, cols, rows, cwd, shell: file, status } = shell
  return { type: 'ready', shellId, cols, rows, cwd, shell: file, status, offset, oldest }
}

function sharedFrame(chunk: OutputChunk): Buffer {
  const known = encoded.get(chunk)
  if (known) return known
  const frame = encodeOutput(chunk)
  encoded.set(chunk, frame)
  return frame
}

/** Nothing for what is small: what waits for its peer then keeps no more than it needs. */
function scratchFor({ bytes }: OutputChunk): Buffer | undefined {
  if (bytes.length < 4096) return undefined
  if (scratch.length === 0) scratch = Buffer.allocUnsafeSlow(frameBytes)
  return scratch
}

/**
 * What JSON escapes are single bytes of UTF-8, and all others it copies: read as Latin-1 the text need not be decoded, and
 * comes out as it went in.
 */
function encodeOutput({ bytes, offset, replay }: OutputChunk, target?: Buffer): Buffer {
  const head = `{"type":"output","offset":${offset},${replay ? '"replay":true,' : ''}"data":`
  if (!isUtf8(bytes)) return Buffer.from(`${head}${JSON.stringify(bytes.toString())}}`)
  const data = JSON.stringify(bytes.toString('latin1'))
  const length = head.length + data.length + 1
  const frame = target?.subarray(0, length) ?? Buffer.allocUnsafe(length)
  frame.write(head, 0, 'latin1')
  frame.write(data, head.length, 'latin1')
  frame.write('}', length - 1, 'latin1')
  return frame
}
