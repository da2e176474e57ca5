/**
 * Every failure hackd can answer with: its wire code, its HTTP status and the sentence used when the caller has no better one.
 * A sentence says what happened and what to do about it.
 */
export const errorTable = {
  invalid_json: [400, 'The body is not valid JSON. Send one JSON document with content-type application/json.'],
  invalid_request: [400, 'The request does not match the schema of this route; see /openapi.json.'],
  missing_command: [400, 'The body needs "command": a non-empty array of strings, the program and its arguments.'],
  missing_compose_project: [400, 'Add ?compose_project=NAME: the Compose project whose containers you want.'],
  invalid_cwd: [400, 'The working directory must be an existing folder inside the project.'],
  invalid_env: [
    400,
    'Environment names must match [A-Za-z_][A-Za-z0-9_]* and values must be strings without NUL bytes.',
  ],
  invalid_cols: [400, '"cols" must be an integer from 1 to 1000.'],
  invalid_rows: [400, '"rows" must be an integer from 1 to 1000.'],
  invalid_shell: [400, '"shell" must be the path of an executable file.'],
  unknown_runner: [400, 'There is no such runner. Leave "runner" out for the generic one.'],
  missing_token: [401, 'Send a token: "Authorization: Bearer <token>". Create one with: hack x gateway token-create'],
  invalid_token: [
    401,
    'The token is unknown, revoked, expired or malformed. Create one with: hack x gateway token-create',
  ],
  host_not_allowed: [
    403,
    'This Host is not served here. Add it with: hack config set --global controlPlane.gateway.hosts',
  ],
  origin_not_allowed: [
    403,
    'This Origin may not call the gateway. Add it to controlPlane.gateway.allowedOrigins in the global config.',
  ],
  project_disabled: [
    403,
    'The project is unknown, not enabled, or outside this token. Run in its folder: hack gateway enable',
  ],
  writes_disabled: [
    403,
    'Writes are off on this machine. Turn them on with: hack config set --global controlPlane.gateway.allowWrites true',
  ],
  write_scope_required: [403, 'This needs a write token. Create one with: hack x gateway token-create --scope write'],
  not_found: [404, 'There is nothing at this path; see /openapi.json for what is.'],
  job_not_found: [404, 'This project has no such job. List its jobs with GET /control-plane/projects/:projectId/jobs'],
  shell_not_found: [
    404,
    'This project has no such shell. List its shells with GET /control-plane/projects/:projectId/shells',
  ],
  method_not_allowed: [405, 'This path does not take that method; the Allow header lists those it takes.'],
  job_not_running: [409, 'The job is not running.'],
  shell_not_running: [409, 'The shell is not running.'],
  stdin_closed: [409, 'The job takes no input: it was created without "stdin": true, or its input was closed.'],
  idempotency_conflict: [409, 'This Idempotency-Key was used with another body. Use a new key for a new job.'],
  body_too_large: [413, 'The body is over 1 MiB.'],
  unsupported_media_type: [415, 'Send the body as application/json.'],
  offset_out_of_range: [416, 'The offset lies past the end of what is there.'],
  upgrade_required: [426, 'This is a WebSocket route: connect with a WebSocket client.'],
  rate_limited: [429, 'Too many requests. Wait for as long as Retry-After says.'],
  queue_full: [429, 'The queue is full. Try again when some of it has been worked off.'],
  too_many_shells: [429, 'Too many shells are running. Close one, or raise controlPlane.shells.max.'],
  too_many_streams: [429, 'Too many streams are open. Close one, or raise controlPlane.gateway.maxStreams.'],
  internal_error: [500, 'hackd failed at this; its log has the details under the request id.'],
  audit_unavailable: [503, 'The audit log cannot be written, so nothing was done. Check the disk and hackd.log.'],
  runtime_unavailable: [
    503,
    'Docker has not answered yet. Check that the engine runs and that hackd may use its socket.',
  ],
  shutting_down: [503, 'hackd is shutting down. Try again in a moment.'],
  storage_full: [507, 'The disk is full, so nothing was done. Free some space and try again.'],
} as const satisfies Record<string, readonly [status: number, message: string]>

export type ErrorCode = keyof typeof errorTable

/** A failure with a code of the table above. The domain throws it; the door turns it into an answer. */
export class GatewayError extends Error {
  readonly code: ErrorCode
  readonly status: number
  /** Headers that belong to this failure, such as Retry-After or Allow. */
  readonly headers: Record<string, string>

  constructor(
    code: ErrorCode,
    message: string = errorTable[code][1],
    options: ErrorOptions & { headers?: Record<string, string> } = {},
  ) {
    super(message, options)
    this.name = 'GatewayError'
    this.code = code
    this.status = errorTable[code][0]
    this.headers = options.headers ?? {}
  }
}

/** The `code` of a Node.js system error (ENOENT, ENOSPC …), or undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** True when the disk, the quota or the file size limit is exhausted: answers become 507 `storage_full`. */
export function isStorageFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(systemCode(error) ?? '')
}
