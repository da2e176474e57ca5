import xterm from '@xterm/headless'

/** A terminal as a client has one. What it would type by itself lands in `answers`. */
export class ClientTerminal {
  answers = ''
  readonly #terminal: xterm.Terminal

  constructor(cols = 80, rows = 24) {
    this.#terminal = new xterm.Terminal({ cols, rows, scrollback: 500, allowProposedApi: true })
    this.#terminal.onData(data => {
      this.answers += data
    })
  }

  write(data: string | Buffer): Promise<void> {
    return new Promise(done => this.#terminal.write(data, done))
  }

  resize(cols: number, rows: number): void {
    this.#terminal.resize(cols, rows)
  }

  /** The visible lines, without the blanks at their ends. */
  get lines(): string[] {
    const { active } = this.#terminal.buffer
    const at = (row: number) => active.getLine(active.baseY + row)?.translateToString(true) ?? ''
    return Array.from({ length: this.#terminal.rows }, (_, row) => at(row))
  }

  /** All that can be seen: every cell with its character, width, colours and attributes; the cursor; the modes. */
  get picture(): object {
    const { active } = this.#terminal.buffer
    const { synchronizedOutputMode, ...modes } = this.#terminal.modes
    return {
      ...{ type: active.type, x: active.cursorX, y: active.cursorY, modes },
      cells: Array.from({ length: this.#terminal.rows }, (_, row) => this.#row(active.baseY + row)),
    }
  }

  #row(row: number): string[] {
    const line = this.#terminal.buffer.active.getLine(row)
    return Array.from({ length: this.#terminal.cols }, (_, column) => {
      const cell = line?.getCell(column)
      if (!cell) return ''
      const colours = [cell.getFgColorMode(), cell.getFgColor(), cell.getBgColorMode(), cell.getBgColor()]
      const attributes = [cell.isBold(), cell.isItalic(), cell.isDim(), cell.isUnderline(), cell.isBlink()]
      const more = [cell.isInverse(), cell.isInvisible(), cell.isStrikethrough(), cell.isOverline(), cell.getWidth()]
      return [cell.getChars() || ' ', ...colours, ...attributes, ...more].join()
    })
  }
}
