import { type Static, Type } from '@sinclair/typebox'
import { literals, ProjectParams, rawBytes, Timestamp } from './common.js'

/** Moves forward only: queued → starting → running (⇄ awaiting_input) → completed | failed | cancelled. */
export const JobStatus = literals('queued', 'starting', 'running', 'awaiting_input', 'completed', 'failed', 'cancelled')
export type JobStatus = Static<typeof JobStatus>

/** Why a job is `failed`. */
export const FailureReason = literals(
  'exit_code',
  'signal',
  'spawn_error',
  'timeout',
  'log_limit',
  'lost',
  'storage_error',
)
export type FailureReason = Static<typeof FailureReason>

export const JobMeta = Type.Object(
  {
    jobId: Type.String(),
    status: JobStatus,
    runner: Type.String(),
    command: Type.Optional(Type.Array(Type.String())),
    projectId: Type.Optional(Type.String()),
    projectName: Type.Optional(Type.String()),
    createdAt: Timestamp,
    updatedAt: Timestamp,
    lastEventSeq: Type.Integer({ description: 'The seq of the last event; 0 before the first.' }),
    label: Type.Optional(Type.String()),
    cwd: Type.Optional(Type.String({ description: 'Absolute, symlinks resolved.' })),
    pid: Type.Optional(Type.Integer({ description: "The job's process, which leads its process group." })),
    startedAt: Type.Optional(Timestamp),
    finishedAt: Type.Optional(Timestamp),
    exitCode: Type.Optional(Type.Integer()),
    signal: Type.Optional(Type.String({ description: 'The signal that ended it, such as SIGKILL.' })),
    reason: Type.Optional(FailureReason),
    logsBytes: Type.Optional(Type.Integer({ description: 'Bytes of combined.log, fixed when the job ends.' })),
  },
  { title: 'JobMeta' },
)
export type JobMeta = Static<typeof JobMeta>

/** hackd's own types begin with `job.`; all others were appended by the job itself to $HACK_JOB_EVENTS. */
export const JobEvent = Type.Object(
  {
    seq: Type.Integer(),
    ts: Timestamp,
    type: Type.String(),
    payload: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  },
  { title: 'JobEvent' },
)
export type JobEvent = Static<typeof JobEvent>

/** Environment names and values as execve(2) takes them, and as a POSIX shell can hand them on. */
export const Environment = Type.Record(
  Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }),
  Type.String({ pattern: '^[^\\u0000]*$' }),
  { additionalProperties: false },
)

export const CreateJob = Type.Object(
  {
    runner: Type.Optional(Type.String({ default: 'generic' })),
    command: Type.Array(Type.String({ pattern: '^[^\\u0000]*$' }), {
      minItems: 1,
      description: 'argv, run without a shell.',
      'x-missing': 'missing_command',
    }),
    cwd: Type.Optional(
      Type.String({
        description: "Relative to the project's root, and inside it.",
        default: '.',
        'x-invalid': 'invalid_cwd',
      }),
    ),
    env: Type.Optional(Type.Unsafe<Record<string, string>>({ ...Environment, 'x-invalid': 'invalid_env' })),
    timeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: 2 ** 31 * 1000 })),
    stdin: Type.Optional(
      Type.Boolean({ default: false, description: 'Keep an input open for POST …/input; else /dev/null.' }),
    ),
    label: Type.Optional(Type.String({ maxLength: 200 })),
    docker: Type.Optional(
      Type.Object(
        {
          service: Type.Optional(Type.String({ minLength: 1, description: 'Run in the container of this service.' })),
          image: Type.Optional(
            Type.String({ minLength: 1, description: 'Run in a fresh container, with the project at its own path.' }),
          ),
          pull: Type.Optional(Type.Boolean({ description: 'Pull the image first.' })),
        },
        { additionalProperties: false, description: 'For the runner `docker`: either a service or an image.' },
      ),
    ),
  },
  { title: 'CreateJob' },
)
export type CreateJob = Static<typeof CreateJob>

export const CreateJobHeaders = Type.Object({
  'idempotency-key': Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
})

export const JobParams = Type.Composite([ProjectParams, Type.Object({ jobId: Type.String() })])
export type JobParams = Static<typeof JobParams>

export const JobsQuery = Type.Object({
  status: Type.Optional(JobStatus),
  limit: Type.Optional(Type.Integer({ minimum: 1 })),
  before: Type.Optional(Type.String({ description: 'A job id: only older jobs are returned.' })),
})
export type JobsQuery = Static<typeof JobsQuery>

export const LogsQuery = Type.Object({
  tail: Type.Optional(Type.Integer({ minimum: 0, description: 'Begin this many bytes before the end.' })),
  follow: Type.Boolean({ default: false, description: 'Stay open until the job ends.' }),
})
export type LogsQuery = Static<typeof LogsQuery>

export const LogHeaders = Type.Object({
  range: Type.Optional(Type.String({ description: 'One range, as in `bytes=0-1023`; ignored with `follow`.' })),
})

const rangeUnit = Type.Literal('bytes')
export const LogReplies = {
  200: rawBytes('The log, as it was written: stdout and stderr in one.', { 'Accept-Ranges': rangeUnit }),
  206: rawBytes('The range that was asked for.', {
    'Accept-Ranges': rangeUnit,
    'Content-Range': Type.String({ description: 'As in `bytes 0-1023/4096`.' }),
  }),
}

export const EventsQuery = Type.Object({
  from: Type.Integer({ minimum: 0, default: 0, description: 'Exclusive: events after this seq.' }),
})
export type EventsQuery = Static<typeof EventsQuery>

export const JobInput = Type.Object(
  { data: Type.String(), eof: Type.Optional(Type.Boolean({ default: false })) },
  { title: 'JobInput' },
)
export type JobInput = Static<typeof JobInput>

export const JobReply = Type.Object({ job: JobMeta })
export const JobListReply = Type.Object({ jobs: Type.Array(JobMeta) })
export const JobEventsReply = Type.Object({ events: Type.Array(JobEvent) })
export const JobCancelReply = Type.Object({ status: Type.Literal('cancelled') })

// ── Frames of …/jobs/:jobId/stream ──

export const JobHello = Type.Object(
  {
    type: Type.Literal('hello'),
    logsFrom: Type.Optional(Type.Integer({ minimum: 0, default: 0 })),
    eventsFrom: Type.Optional(Type.Integer({ minimum: 0, default: 0 })),
  },
  { title: 'JobHello' },
)
export type JobHello = Static<typeof JobHello>

export const JobFrame = Type.Union(
  [
    Type.Object({ type: Type.Literal('ready'), logsOffset: Type.Integer(), eventsSeq: Type.Integer() }),
    Type.Object({
      type: Type.Literal('log'),
      stream: Type.Literal('combined'),
      offset: Type.Integer({ description: 'The byte offset after `data`: what a client stores to resume.' }),
      data: Type.String(),
    }),
    Type.Object({ type: Type.Literal('event'), seq: Type.Integer(), event: JobEvent }),
    Type.Object({
      type: Type.Literal('heartbeat'),
      ts: Timestamp,
      logsOffset: Type.Integer(),
      eventsSeq: Type.Integer(),
    }),
    Type.Object({ type: Type.Literal('error'), message: Type.String(), detail: Type.Optional(Type.String()) }),
  ],
  { title: 'JobFrame' },
)
export type JobFrame = Static<typeof JobFrame>
