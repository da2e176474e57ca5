/** How many bytes a UTF-8 sequence has by its first byte (RFC 3629); 1 for a byte that begins none. */
function sequenceLength(first: number): number {
  if (first >= 0xc2 && first <= 0xdf) return 2
  if (first >= 0xe0 && first <= 0xef) return 3
  return first >= 0xf0 && first <= 0xf4 ? 4 : 1
}

/**
 * The length of the unfinished UTF-8 sequence at the end of `bytes`, 0 when there is none. What stays before it can be
 * decoded on its own: no character is cut, and bytes that belong to no character are not held back.
 */
export function unfinishedTail(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0
    if (byte < 0x80) return 0
    if (byte >= 0xc0) return sequenceLength(byte) > back ? back : 0
  }
  return 0
}
