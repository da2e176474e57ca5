/** Sequences whose effect lasts: modes, margins, cursor shape, keypad, character sets, full and soft reset, title. */
const lasting = new RegExp(
  [
    '\\x1b\\[(?:(\\??)([0-9;]+)([hl])|([0-9;]*)r|[0-9]* q|!p)',
    '\\x1b(?:[=>c]|([()*+])[0-9A-Z<=])',
    '\\x1b\\][02];([^\\x07\\x18\\x1a\\x1b]{0,512})(?:\\x07|\\x1b\\\\)',
  ].join('|'),
  'g',
)

/** Modes that are restored along with the cells and the cursor, or that must not be repeated (132 columns, frozen). */
const elsewhere = new Set('?3 ?6 ?47 ?1047 ?1048 ?1049 ?2026'.split(' ').map(mode => `mode ${mode}`))

const alternateScreen = new Set(['47', '1047', '1049'])
/** The longest beginning of a sequence that is remembered until the rest of it comes. */
const overlap = 600

/**
 * What a terminal remembers beside its cells, gathered by a scan that costs a fraction of an emulation. It stands in for
 * the bytes that the emulator was never shown, and tells what the emulator keeps to itself.
 */
export class TerminalModes {
  /** The last sequence of each kind, in the order of their last appearance. */
  readonly #last = new Map<string, string>()
  #tail = ''

  scan(bytes: Buffer): void {
    if (this.#tail === '' && bytes.indexOf(0x1b) < 0) return
    const text = this.#tail + bytes.toString('latin1')
    for (const match of text.matchAll(lasting)) this.#note(match)
    const start = text.lastIndexOf('\x1b')
    this.#tail = start >= Math.max(0, text.length - overlap) ? text.slice(start) : ''
  }

  #note([sequence, question, modes, state, margins, slot, title]: RegExpMatchArray): void {
    if (modes !== undefined) for (const mode of modes.split(';')) this.#noteMode(question ?? '', mode, state ?? '')
    else if (margins !== undefined) this.#set('margins', sequence)
    else if (slot !== undefined) this.#set(`charset ${slot}`, sequence)
    else if (title !== undefined) this.#set('title', sequence)
    else if (sequence === '\x1bc') this.#last.clear()
    else if (sequence === '\x1b[!p') this.#softReset()
    else this.#set(sequence.endsWith('q') ? 'cursor shape' : 'keypad', sequence)
  }

  #noteMode(question: string, mode: string, state: string): void {
    // Margins belong to one screen buffer.
    if (question && alternateScreen.has(mode)) this.#last.delete('margins')
    this.#set(`mode ${question}${mode}`, `\x1b[${question}${mode}${state}`)
  }

  /** DECSTR (VT510 manual): the cursor shows, margins are the whole screen, character sets are the default ones. */
  #softReset(): void {
    for (const key of [...this.#last.keys()])
      if (key === 'margins' || key === 'mode ?25' || key === 'mode ?6' || key === 'keypad' || key.startsWith('charset'))
        this.#last.delete(key)
  }

  #set(key: string, sequence: string): void {
    this.#last.delete(key)
    this.#last.set(key, sequence)
  }

  /** A terminal that is resized makes its margins the whole screen. */
  resized(): void {
    this.#last.delete('margins')
  }

  /** Sequences that bring a terminal that was shown nothing into these modes. */
  all(): Buffer {
    return Buffer.from([...this.#last.values()].join(''), 'latin1')
  }

  /** Margins and origin mode, which move the cursor to `top`, the row that it is then counted from. */
  frame(): { sequences: string; top: number } {
    const margins = this.#last.get('margins') ?? ''
    const origin = this.#last.get('mode ?6') === '\x1b[?6h'
    const first = Number(/\d+/.exec(margins)?.[0] ?? 1)
    return { sequences: margins + (origin ? '\x1b[?6h' : ''), top: origin ? Math.max(0, first - 1) : 0 }
  }

  /** All else. It moves nothing, so it comes last. */
  others(): string {
    const entries = [...this.#last].filter(([key]) => key !== 'margins' && !elsewhere.has(key))
    return entries.map(([, sequence]) => sequence).join('')
  }
}
