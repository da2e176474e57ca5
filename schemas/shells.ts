import { type Static, Type } from '@sinclair/typebox'
import { literals, Nullable, ProjectParams, Timestamp } from './common.js'
import { Environment } from './jobs.js'

export const ShellStatus = literals('running', 'exited')
export type ShellStatus = Static<typeof ShellStatus>

export const ShellMeta = Type.Object(
  {
    shellId: Type.String(),
    status: ShellStatus,
    createdAt: Timestamp,
    updatedAt: Timestamp,
    projectId: Type.Optional(Type.String()),
    projectName: Type.Optional(Type.String()),
    cwd: Type.String({ description: 'Where it began: absolute, symlinks resolved.' }),
    shell: Type.String(),
    cols: Type.Integer(),
    rows: Type.Integer(),
    pid: Type.Optional(Type.Integer()),
    exitCode: Type.Optional(Type.Integer()),
    signal: Type.Optional(Nullable(Type.String({ description: 'The signal that ended it, such as SIGHUP.' }))),
  },
  { title: 'ShellMeta' },
)
export type ShellMeta = Static<typeof ShellMeta>

const cols = { minimum: 1, maximum: 1000, 'x-invalid': 'invalid_cols' }
const rows = { minimum: 1, maximum: 1000, 'x-invalid': 'invalid_rows' }

export const CreateShell = Type.Object(
  {
    cols: Type.Optional(Type.Integer({ ...cols, default: 80 })),
    rows: Type.Optional(Type.Integer({ ...rows, default: 24 })),
    cwd: Type.Optional(
      Type.String({
        description: "Relative to the project's root, and inside it.",
        default: '.',
        'x-invalid': 'invalid_cwd',
      }),
    ),
    shell: Type.Optional(
      Type.String({
        description: 'An executable file; default: $SHELL, then /bin/bash.',
        'x-invalid': 'invalid_shell',
      }),
    ),
    env: Type.Optional(Type.Unsafe<Record<string, string>>({ ...Environment, 'x-invalid': 'invalid_env' })),
  },
  { title: 'CreateShell' },
)
export type CreateShell = Static<typeof CreateShell>

export const ShellParams = Type.Composite([ProjectParams, Type.Object({ shellId: Type.String() })])
export type ShellParams = Static<typeof ShellParams>

export const ShellReply = Type.Object({ shell: ShellMeta })
export const ShellListReply = Type.Object({ shells: Type.Array(ShellMeta) })

// ── Frames of …/shells/:shellId/stream, from the client ──

export const ShellSignal = literals(
  'SIGINT',
  'SIGTERM',
  'SIGKILL',
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGTSTP',
)
export type ShellSignal = Static<typeof ShellSignal>

export const ShellHello = Type.Object(
  {
    type: Type.Literal('hello'),
    cols: Type.Optional(Type.Integer(cols)),
    rows: Type.Optional(Type.Integer(rows)),
    from: Type.Optional(
      Type.Integer({ minimum: 0, description: 'Resume at this byte; without it comes what the screen needs.' }),
    ),
  },
  { title: 'ShellHello' },
)
export type ShellHello = Static<typeof ShellHello>

export const ShellInput = Type.Object({ type: Type.Literal('input'), data: Type.String() }, { title: 'ShellInput' })
export const ShellResize = Type.Object(
  { type: Type.Literal('resize'), cols: Type.Integer(cols), rows: Type.Integer(rows) },
  { title: 'ShellResize' },
)
export const ShellSignalFrame = Type.Object(
  { type: Type.Literal('signal'), signal: ShellSignal },
  { title: 'ShellSignalFrame' },
)
export const ShellAck = Type.Object(
  { type: Type.Literal('ack'), offset: Type.Integer({ minimum: 0 }) },
  { title: 'ShellAck', description: 'Turns on flow control: at most 128 KiB are sent beyond the last `offset`.' },
)
export const ShellClose = Type.Object({ type: Type.Literal('close') }, { title: 'ShellClose' })

export const ShellClientFrame = Type.Union(
  [ShellHello, ShellInput, ShellResize, ShellSignalFrame, ShellAck, ShellClose],
  { title: 'ShellClientFrame' },
)
export type ShellClientFrame = Static<typeof ShellClientFrame>

// ── and from hackd ──

export const ShellFrame = Type.Union(
  [
    Type.Object({
      type: Type.Literal('ready'),
      shellId: Type.String(),
      cols: Type.Integer(),
      rows: Type.Integer(),
      cwd: Type.String(),
      shell: Type.String(),
      status: ShellStatus,
      offset: Type.Integer({ description: 'Where the output that follows begins. A screen stands for all before it.' }),
      oldest: Type.Integer({ description: 'The oldest byte that `from` can ask for.' }),
    }),
    Type.Object({
      type: Type.Literal('output'),
      data: Type.String(),
      offset: Type.Integer({ description: 'The byte offset after `data`: what a client stores to resume.' }),
      replay: Type.Optional(Type.Literal(true, { description: 'From before this client came.' })),
    }),
    Type.Object({
      type: Type.Literal('gap'),
      from: Type.Integer({ description: 'The first byte that is no longer there.' }),
      oldest: Type.Integer(),
    }),
    Type.Object({
      type: Type.Literal('exit'),
      exitCode: Nullable(Type.Integer()),
      signal: Nullable(Type.String()),
    }),
    Type.Object({ type: Type.Literal('error'), message: Type.String(), detail: Type.Optional(Type.String()) }),
  ],
  { title: 'ShellFrame' },
)
export type ShellFrame = Static<typeof ShellFrame>
