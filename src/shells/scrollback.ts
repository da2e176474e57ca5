/**
 * The last `capacity` bytes of an output that may be endless, addressed by the offset each byte had from the beginning.
 * Pages of the ring that were never written take no memory.
 */
export class Scrollback {
  readonly capacity: number
  readonly #ring: Buffer
  #end = 0

  constructor(capacity: number) {
    this.capacity = capacity
    this.#ring = Buffer.allocUnsafeSlow(capacity)
  }

  /** The offset of the oldest byte that is still kept. */
  get oldest(): number {
    return Math.max(0, this.#end - this.capacity)
  }

  /** The offset after the newest byte, which is the number of bytes ever appended. */
  get end(): number {
    return this.#end
  }

  append(bytes: Uint8Array): void {
    const kept = bytes.subarray(Math.max(0, bytes.length - this.capacity))
    const at = (this.#end + bytes.length - kept.length) % this.capacity
    const first = kept.subarray(0, this.capacity - at)
    this.#ring.set(first, at)
    this.#ring.set(kept.subarray(first.length), 0)
    this.#end += bytes.length
  }

  /**
   * The kept bytes from `from` to `to` without a copy, which they are until as many bytes were appended as are kept. They
   * are copied where the ring begins anew between them.
   */
  view(from: number, to: number): Buffer {
    const at = from % this.capacity
    return at + to - from <= this.capacity ? this.#ring.subarray(at, at + to - from) : this.read(from, to)
  }

  /** A copy of the bytes from `from` to `to`, less those that are no longer or not yet there. */
  read(from: number, to: number): Buffer {
    const start = Math.max(from, this.oldest)
    const length = Math.max(0, Math.min(to, this.#end) - start)
    const copy = Buffer.allocUnsafe(length)
    const at = start % this.capacity
    const copied = this.#ring.copy(copy, 0, at, Math.min(at + length, this.capacity))
    if (copied < length) this.#ring.copy(copy, copied, 0, length - copied)
    return copy
  }
}
