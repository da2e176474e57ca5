import { existsSync, lstatSync, readFileSync } from 'node:fs'
import { type FileHandle, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { Value } from '@sinclair/typebox/value'
import { Timestamp } from '../../schemas/common.js'
import { JobEvent, JobMeta } from '../../schemas/jobs.js'
import { readJson, replaceJson } from '../storage/atomic-file.js'
import { type Lines, openLines, readLines } from '../storage/jsonl.js'
import { makePrivateFolder, writePrivate } from '../storage/private-file.js'
import { ContainerTarget } from './container-target.js'

/** What was asked for beyond what JobMeta shows. */
export const JobRequest = Type.Object({
  environment: Type.Record(Type.String(), Type.String()),
  stdin: Type.Boolean(),
  timeoutMs: Type.Optional(Type.Integer()),
  /** Asked for through the admin socket: runs whatever `allowWrites` says. */
  local: Type.Boolean(),
  container: Type.Optional(ContainerTarget),
})
export type JobRequest = Static<typeof JobRequest>

/** The Idempotency-Key that a job was made under, who sent it, and a digest of the body. */
export const IdempotencyMark = Type.Object({ owner: Type.String(), key: Type.String(), digest: Type.String() })
export type IdempotencyMark = Static<typeof IdempotencyMark>

/** Persisted before the first signal, so that a crash in the middle of a cancel finishes it. */
const Ending = Type.Object({ why: Type.Union([Type.Literal('cancel'), Type.Literal('timeout')]), at: Timestamp })
export type Ending = Static<typeof Ending>

/** What a job asks for that asks for nothing in particular; it is not written down. */
export const plainRequest: JobRequest = { environment: {}, stdin: false, local: false }

function isPlain({ environment, stdin, timeoutMs, local, container }: JobRequest): boolean {
  return !container && Object.keys(environment).length === 0 && !stdin && !local && timeoutMs === undefined
}

/** Events in the order of their seq: one that is out of it was written twice, or is damaged. */
export function ascending(events: JobEvent[]): JobEvent[] {
  const kept: JobEvent[] = []
  for (const event of events) if (event.seq > (kept.at(-1)?.seq ?? 0)) kept.push(event)
  return kept
}

const journalHead = 'journal 1\n'
const metaCheck = TypeCompiler.Compile(JobMeta)

/** The files of one job below $HACK_HOME/daemon/jobs/<projectId>/<jobId>/. The job is there once meta.json is. */
export class JobFolder {
  readonly path: string
  #open: Promise<FileHandle> | undefined

  constructor(path: string) {
    this.path = path
  }

  get log(): string {
    return join(this.path, 'combined.log')
  }
  /** What the wrapper saw happen; see runners/job-wrapper.sh. */
  get journal(): string {
    return join(this.path, 'journal')
  }
  /** $HACK_JOB_EVENTS, to which the job itself appends. */
  get ownEvents(): string {
    return join(this.path, 'own-events.jsonl')
  }
  /** The FIFO that is the job's input. */
  get input(): string {
    return join(this.path, 'input')
  }
  /** What the program that runs a container for the job has to know; it removes it once read. */
  get task(): string {
    return join(this.path, 'task.json')
  }
  get #meta(): string {
    return join(this.path, 'meta.json')
  }
  get #events(): string {
    return join(this.path, 'events.jsonl')
  }
  get #request(): string {
    return join(this.path, 'request.json')
  }
  get #ending(): string {
    return join(this.path, 'ending.json')
  }

  get #mark(): string {
    return join(this.path, 'idempotency.json')
  }

  /** Everything but meta.json: saving that is what makes the job be there. */
  async create(request: JobRequest, mark: IdempotencyMark | undefined, created: JobEvent): Promise<void> {
    makePrivateFolder(this.path)
    await Promise.all([
      ...(isPlain(request) ? [] : [writePrivate(this.#request, JSON.stringify(request))]),
      writePrivate(this.#events, `${JSON.stringify(created)}\n`),
      writePrivate(this.log, ''),
      writePrivate(this.ownEvents, ''),
      // The first line makes the file own a block of the disk, so that the wrapper's lines never need another.
      writePrivate(this.journal, journalHead),
      ...(mark ? [writePrivate(this.#mark, JSON.stringify(mark))] : []),
    ])
  }

  saveMeta(meta: JobMeta): Promise<void> {
    return replaceJson(this.#meta, meta)
  }

  /** Synchronous: it runs once a job at start, when nothing else has to. Undefined when missing or damaged. */
  loadMeta(): JobMeta | undefined {
    try {
      if (!lstatSync(this.path).isDirectory()) return undefined
      const meta: unknown = JSON.parse(readFileSync(this.#meta, 'utf8'))
      return metaCheck.Check(meta) ? meta : undefined
    } catch {
      return undefined
    }
  }

  /** Synchronous, like loadMeta. Undefined when the job was made without a key. */
  loadMark(): IdempotencyMark | undefined {
    if (!existsSync(this.#mark)) return undefined
    try {
      const mark: unknown = JSON.parse(readFileSync(this.#mark, 'utf8'))
      return Value.Check(IdempotencyMark, mark) ? mark : undefined
    } catch {
      return undefined
    }
  }

  /** The file stays open from here to `closeEvents`: a job has its events in quick succession. */
  async appendEvent(event: JobEvent): Promise<void> {
    this.#open ??= openLines(this.#events)
    try {
      await (await this.#open).appendFile(`${JSON.stringify(event)}\n`)
    } catch (error) {
      // What was written of the line is ended when the file is opened again.
      await this.closeEvents()
      throw error
    }
  }

  async closeEvents(): Promise<void> {
    const file = this.#open
    this.#open = undefined
    await (await file?.catch(() => undefined))?.close()
  }

  async readEvents(): Promise<Lines<JobEvent>> {
    const lines = await readLines(this.#events, JobEvent)
    const records = ascending(lines.records)
    return { records, damaged: lines.damaged + lines.records.length - records.length }
  }

  readRequest(): Promise<JobRequest | undefined> {
    return readJson(this.#request, JobRequest)
  }

  /** The environment may hold secrets: it goes when the job is over. */
  forgetEnvironment(request: JobRequest): Promise<void> {
    return writePrivate(this.#request, JSON.stringify({ ...request, environment: {} }))
  }

  saveEnding(ending: Ending): Promise<void> {
    return replaceJson(this.#ending, ending)
  }

  /** True once a wrapper has written to the journal, whatever else of the record may be lost. */
  async wasBegun(): Promise<boolean> {
    const { size } = await stat(this.journal)
    return size > journalHead.length
  }

  readEnding(): Promise<Ending | undefined> {
    return readJson(this.#ending, Ending)
  }

  remove(): Promise<void> {
    return rm(this.path, { recursive: true, force: true })
  }
}
