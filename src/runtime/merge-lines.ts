/** A line longer than this is cut, so that it neither waits for ever nor fills the memory. */
const longestLine = 64 * 1024

interface Source {
  iterator: AsyncIterator<Buffer>
  /** The beginning of a line whose end has not arrived. */
  rest: Buffer
  next: Promise<{ source: Source; result: IteratorResult<Buffer> }>
}

/** Several streams as one, in the order in which their lines arrive; a single one passes through as it is. Pulled. */
export async function* mergeLines(streams: AsyncIterable<Buffer>[]): AsyncGenerator<Buffer> {
  const [only] = streams
  if (only && streams.length === 1) return yield* only
  const sources = new Set(streams.map(stream => begin(stream[Symbol.asyncIterator]())))
  while (sources.size > 0) {
    const { source, result } = await Promise.race([...sources].map(({ next }) => next))
    if (result.done) sources.delete(source)
    else pull(source)
    const bytes = Buffer.concat([source.rest, result.done ? Buffer.alloc(0) : result.value])
    const end = result.done || bytes.length > longestLine ? bytes.length : bytes.lastIndexOf(0x0a) + 1
    source.rest = bytes.subarray(end)
    if (end > 0) yield bytes.subarray(0, end)
  }
}

function begin(iterator: AsyncIterator<Buffer>): Source {
  const source = { iterator, rest: Buffer.alloc(0) } as Source
  pull(source)
  return source
}

function pull(source: Source): void {
  source.next = source.iterator.next().then(result => ({ source, result }))
  // Whoever races next hears of it; until then nobody does.
  source.next.catch(() => undefined)
}
