import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { CreateShell } from '../../schemas/shells.js'
import { type Attachment, ShellHost, type ShellLimits, type ShellRef } from '../../src/shells/shell-host.js'
import type { ShellEvent, ShellExit } from '../../src/shells/viewer.js'
import { eventually } from '../eventually.js'
import { temporaryFolder } from '../temporary-folder.js'

/** Writes an executable POSIX sh program and returns its path. */
export function program(path: string, text: string): string {
  writeFileSync(path, `#!/bin/sh\n${text}\n`)
  chmodSync(path, 0o755)
  return path
}

/** A host over an empty project folder; it ends with its test. */
export function buildHost(t: TestContext, overrides: Partial<ShellLimits> = {}) {
  const root = temporaryFolder(t)
  const usual = { max: 32, scrollbackBytes: 2 ** 21, exitedTtlMinutes: 10, idleMinutes: 1440, graceMs: 2000 }
  const limits: ShellLimits = { ...usual, ...overrides }
  const host = new ShellHost({ environment: { ...process.env, HISTFILE: '/dev/null' }, limits: () => limits })
  t.after(() => host.close())
  const project = { id: 'project', name: 'a project', repoRoot: root }
  const open = async (request: CreateShell = {}): Promise<ShellRef> => {
    const { shellId } = await host.create(project, request)
    return { projectId: project.id, shellId }
  }
  /** Opens a shell that runs a POSIX sh program. */
  let programs = 0
  const run = (text: string, request: CreateShell = {}) =>
    open({ ...request, shell: program(join(root, `program-${programs++}`), text) })
  return { host, project, root, limits, open, run }
}

/** What one viewer was given so far. */
export class Watch {
  readonly events: ShellEvent[] = []
  readonly done: Promise<ShellExit | undefined>
  readonly attachment: Attachment
  #bytes: Buffer[] = []

  constructor(attachment: Attachment) {
    this.attachment = attachment
    this.done = this.#run()
  }

  async #run(): Promise<ShellExit | undefined> {
    for await (const event of this.attachment.events) {
      this.events.push(event)
      if (event.type === 'output') this.#bytes.push(Buffer.from(event.bytes))
      if (event.type === 'exit') return event
    }
    return undefined
  }

  get bytes(): Buffer {
    this.#bytes = [Buffer.concat(this.#bytes)]
    return this.#bytes[0] ?? Buffer.alloc(0)
  }

  get text(): string {
    return this.bytes.toString()
  }

  async has(text: string): Promise<void> {
    await eventually(`the output has ${JSON.stringify(text)}`, () => this.text.includes(text))
  }
}

export async function watch(host: ShellHost, ref: ShellRef, from?: number): Promise<Watch> {
  return new Watch(await host.attach(ref, { from }))
}
