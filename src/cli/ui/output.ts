import { inertJson } from './inert.js'

const styles = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] } as const
export type Style = keyof typeof styles

/** What of a terminal the CLI uses; process.stdout and process.stderr are two. */
export interface Sink {
  isTTY?: boolean
  write(text: string): unknown
}

/** Results go to stdout; problems, progress and advice to stderr. */
export class Output {
  readonly #out: Sink
  readonly #err: Sink
  readonly #environment: NodeJS.ProcessEnv

  constructor(out: Sink, err: Sink, environment: NodeJS.ProcessEnv) {
    this.#out = out
    this.#err = err
    this.#environment = environment
  }

  line(text = ''): void {
    this.#out.write(`${text}\n`)
  }

  json(value: unknown): void {
    this.#out.write(`${inertJson(value)}\n`)
  }

  note(text: string): void {
    this.#err.write(`${text}\n`)
  }

  /** Colours a text of stdout, where stdout is a terminal that wants colours. */
  style(style: Style, text: string): string {
    return this.#paint(this.#out, style, text)
  }

  styleNote(style: Style, text: string): string {
    return this.#paint(this.#err, style, text)
  }

  #paint(sink: Sink, style: Style, text: string): string {
    // https://no-color.org: any value but the empty one turns colours off.
    if (sink.isTTY !== true || this.#environment.NO_COLOR || this.#environment.TERM === 'dumb') return text
    const [on, off] = styles[style]
    return `\x1b[${on}m${text}\x1b[${off}m`
  }
}
