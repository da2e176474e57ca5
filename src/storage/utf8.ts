/**
 * How many bytes of `chunk` can be decoded without cutting a UTF-8 sequence that may still be completed (RFC 3629).
 * Bytes that cannot become valid are counted as whole: they turn into U+FFFD wherever they are cut.
 */
export function completeUtf8(chunk: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, chunk.length); back++) {
    const byte = chunk[chunk.length - back] ?? 0
    if (byte < 0x80) break
    if (byte >= 0xc0) {
      const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
      return needed > back && byte < 0xf8 ? chunk.length - back : chunk.length
    }
  }
  return chunk.length
}
