import type xterm from '@xterm/headless'

type Cell = xterm.IBufferCell
type Style = Omit<Cell, 'getChars' | 'getCode' | 'getWidth'>

/** The attributes of ECMA-48 §8.3.117 (SGR) that a cell can have. */
const attributes: [code: number, has: (style: Style) => number][] = [
  [1, style => style.isBold()],
  [2, style => style.isDim()],
  [3, style => style.isItalic()],
  [4, style => style.isUnderline()],
  [5, style => style.isBlink()],
  [7, style => style.isInverse()],
  [8, style => style.isInvisible()],
  [9, style => style.isStrikethrough()],
  [53, style => style.isOverline()],
]

/** How the emulator tells its kinds of colour apart; below them lies the default. */
const palette16 = 0x1000000
const palette256 = 0x2000000

/** The SGR parameters of a colour; `base` is 30 for the foreground, 40 for the background. */
function colour(base: 30 | 40, mode: number, value: number): string[] {
  if (mode < palette16) return []
  if (mode === palette16) return [String(value < 8 ? base + value : base + 52 + value)]
  if (mode === palette256) return [`${base + 8};5;${value}`]
  return [`${base + 8};2;${value >> 16};${(value >> 8) & 255};${value & 255}`]
}

/** The SGR sequence that sets exactly this style, whatever it was before. */
export function styleSequence(style: Style): string {
  const codes = attributes.filter(([, has]) => has(style)).map(([code]) => String(code))
  codes.push(...colour(30, style.getFgColorMode(), style.getFgColor()))
  codes.push(...colour(40, style.getBgColorMode(), style.getBgColor()))
  return codes.length === 0 ? plain : `\x1b[0;${codes.join(';')}m`
}

const plain = '\x1b[m'

/** Writes cells from the cursor on; what is blank by default is stepped over. */
class RowWriter {
  text = ''
  #style = plain
  #blanks = 0
  #blankStyle = plain

  cell(cell: Cell): void {
    if (cell.getWidth() === 0) return
    const chars = cell.getChars()
    const style = styleSequence(cell)
    if (chars === '') {
      if (style !== this.#blankStyle) this.#flushBlanks()
      this.#blankStyle = style
      this.#blanks++
      return
    }
    this.#flushBlanks()
    this.text += this.#to(style) + chars
  }

  #to(style: string): string {
    if (style === this.#style) return ''
    this.#style = style
    return style
  }

  #flushBlanks(): void {
    if (this.#blanks === 0) return
    if (this.#blankStyle !== plain) this.text += `${this.#to(this.#blankStyle)}\x1b[${this.#blanks}X`
    this.text += `\x1b[${this.#blanks}C`
    this.#blanks = 0
  }

  /** Ends the row in the plain style, in which nothing that scrolls into view is coloured. */
  end(): string {
    if (this.#blankStyle !== plain) this.#flushBlanks()
    return this.text + this.#to(plain)
  }
}

/** The cells of one row, from column `from` on. */
function writeRow(line: xterm.IBufferLine, scratch: Cell, from = 0): string {
  const writer = new RowWriter()
  for (let column = from; column < line.length; column++) {
    const cell = line.getCell(column, scratch)
    if (cell) writer.cell(cell)
  }
  return writer.end()
}

/**
 * What draws a terminal's cells, above the screen and on it, on a terminal that was fully reset: first the normal
 * screen, then the alternate one where that is shown. The cursor ends anywhere.
 */
export function drawCells(terminal: xterm.Terminal): string {
  const { normal, alternate, active } = terminal.buffer
  const drawn = drawScrolled(normal, terminal.cols)
  if (active.type === 'normal') return drawn
  return `${drawn}${cursorTo(normal.cursorX, normal.cursorY)}\x1b[?1049h${drawFixed(alternate)}`
}

/** All rows in their order, so that those above the screen scroll out of it. */
function drawScrolled(buffer: xterm.IBuffer, cols: number): string {
  const scratch = buffer.getNullCell()
  let drawn = ''
  for (let row = 0; row < buffer.length; row++) {
    const line = buffer.getLine(row)
    // The emulator's list is circular: beyond its length it begins again.
    const next = row + 1 < buffer.length ? buffer.getLine(row + 1) : undefined
    if (line) drawn += writeRow(line, scratch)
    if (line && next && !(next.isWrapped && isTaken(line, cols - 1, scratch) && isTaken(next, 0, scratch)))
      drawn += '\r\n'
  }
  return drawn
}

/** A character is there, or the second half of one: the cursor wraps behind it, and to it. */
function isTaken(line: xterm.IBufferLine, column: number, scratch: Cell): boolean {
  const cell = line.getCell(column, scratch)
  return cell?.getChars() !== '' || cell.getWidth() === 0
}

function drawFixed(buffer: xterm.IBuffer): string {
  const scratch = buffer.getNullCell()
  let drawn = ''
  for (let row = 0; row < buffer.length; row++) {
    const line = buffer.getLine(row)
    const cells = line ? writeRow(line, scratch) : ''
    if (cells !== '') drawn += cursorTo(0, row) + cells
  }
  return drawn
}

/** CUP to a column and a row that are counted from 0. */
export function cursorTo(x: number, y: number): string {
  return `\x1b[${y + 1};${x + 1}H`
}

/**
 * What puts the cursor where it is, and the pen into its style. `top` is the row that origin mode counts from. Behind the
 * last column the cursor waits to wrap; only writing a character there brings it to that place.
 */
export function placeCursor(terminal: xterm.Terminal, top: number): string {
  const { active } = terminal.buffer
  const y = active.cursorY - top
  const pen = styleSequence(penOf(terminal))
  const line = active.getLine(active.baseY + active.cursorY)
  if (active.cursorX < terminal.cols || !line) return cursorTo(active.cursorX, y) + pen
  const scratch = active.getNullCell()
  const last = terminal.cols - (line.getCell(terminal.cols - 1, scratch)?.getWidth() === 0 ? 2 : 1)
  return cursorTo(last, y) + writeRow(line, scratch, last) + pen
}

/** The style of what is printed next. The emulator does not tell; its pen has the methods of a cell. */
function penOf(terminal: xterm.Terminal): Style {
  const { _core } = terminal as unknown as { _core: { _inputHandler: { _curAttrData: Style } } }
  return _core._inputHandler._curAttrData
}
