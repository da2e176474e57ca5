/** The engine's frames: a header of 8 bytes (stream, 0, 0, 0, length as a big-endian uint32), then that many bytes. */
const headerBytes = 8

/**
 * The bytes of stdout and stderr, in the order written, of a stream in the engine's frames. A frame is passed on as it arrives, not
 * collected first; one that is cut short ends with the stream.
 * @throws Error when the stream is not framed.
 */
export async function* unframe(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let header = Buffer.alloc(0)
  let remaining = 0
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      if (remaining > 0) {
        const bytes = chunk.subarray(at, at + remaining)
        remaining -= bytes.length
        at += bytes.length
        yield bytes
        continue
      }
      const missing = headerBytes - header.length
      header = Buffer.concat([header, chunk.subarray(at, at + missing)])
      at += missing
      if (header.length < headerBytes) continue
      if (header.readUInt8(0) > 2 || header.readUIntBE(1, 3) !== 0)
        throw new Error('the engine sent a log without frames')
      remaining = header.readUInt32BE(4)
      header = Buffer.alloc(0)
    }
  }
}
