/** Hands out pieces of larger buffers: for pieces of some 64 KiB, allocating one by one costs more than filling them. */
export class Slab {
  readonly #size: number
  #free = Buffer.alloc(0)

  constructor(size: number) {
    this.#size = size
  }

  /** At least `length` bytes that nobody uses. They are yours as far as you `take` them before the next call. */
  reserve(length: number): Buffer {
    if (this.#free.length < length) this.#free = Buffer.allocUnsafeSlow(Math.max(this.#size, length))
    return this.#free
  }

  /** The first `length` bytes of what was reserved. */
  take(length: number): Buffer {
    const taken = this.#free.subarray(0, length)
    this.#free = this.#free.subarray(length)
    return taken
  }
}
