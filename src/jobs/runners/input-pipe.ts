import { constants, open } from 'node:fs'
import { Socket } from 'node:net'
import { promisify } from 'node:util'
import { GatewayError } from '../../errors.js'

/** A bare descriptor, which the socket will own: a FileHandle would close it when it is collected. */
const openDescriptor = promisify<string, number, number>(open)

/** How much input may wait for a command that does not read. */
const pendingBytes = 1024 * 1024

/** The writing end of a job's input FIFO. What the command has not read yet waits here, up to a limit. */
export class InputPipe {
  readonly #path: string
  #socket: Promise<Socket> | undefined

  constructor(path: string) {
    this.#path = path
  }

  async write(data: Uint8Array): Promise<void> {
    const socket = await this.#open()
    if (socket.destroyed) throw new GatewayError('stdin_closed', 'The job closed its input.')
    if (socket.writableLength + data.length > pendingBytes)
      throw new GatewayError('queue_full', 'The job has not read its earlier input, and over 1 MiB of it would wait.')
    socket.write(data)
  }

  /** Closes this end once all that was written has been read. */
  async end(): Promise<void> {
    const socket = await this.#socket
    await new Promise<void>(resolve => (socket && !socket.destroyed ? socket.end(resolve) : resolve()))
  }

  close(): void {
    void this.#socket?.then(
      socket => socket.destroy(),
      () => undefined,
    )
  }

  /** Non-blocking, so that a full pipe is back-pressure and never a stuck thread. */
  #open(): Promise<Socket> {
    this.#socket ??= openDescriptor(this.#path, constants.O_WRONLY | constants.O_NONBLOCK).then(fd => {
      const socket = new Socket({ fd, readable: false, writable: true })
      socket.on('error', () => socket.destroy())
      return socket
    })
    return this.#socket
  }
}
