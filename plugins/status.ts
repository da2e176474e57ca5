import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Metrics, Status } from '../schemas/status.js'
import type { RuntimeCounters } from '../src/runtime/runtime.js'

export interface Gauges {
  streamsActive: number
  /** Jobs by status. */
  jobs?: Record<string, number>
  /** Shells by status. */
  shells?: Record<string, number>
}

export interface StatusOptions {
  version: string
  startedAt: Date
  gauges: () => Gauges
  /** Where the TCP door listens, told through the admin socket; null while it does not. */
  url?: (() => string | null) | undefined
  runtime?: { counters(): RuntimeCounters } | undefined
}

const noRuntime: RuntimeCounters = {
  cache_updated_at: null,
  cache_age_ms: null,
  last_refresh_at: null,
  refresh_count: 0,
  refresh_failures: 0,
  last_event_at: null,
  events_seen: 0,
}
const sampleMs = 50
const tags = ['status']

/** How hackd itself is doing. Registered before the other routes, so that it counts the answers of all of them. */
async function status(app: FastifyInstance, { version, startedAt, gauges, url, runtime }: StatusOptions) {
  const answers = new Array<number>(6).fill(0)
  const delay = monitorEventLoopDelay({ resolution: sampleMs })
  delay.enable()
  app.addHook('onClose', async () => void delay.disable())
  app.addHook('onResponse', (_request, reply, done) => {
    const group = Math.trunc(reply.statusCode / 100)
    answers[group] = (answers[group] ?? 0) + 1
    done()
  })

  const started_at = startedAt.toISOString()
  const uptime = () => Date.now() - startedAt.getTime()
  const counters = () => runtime?.counters() ?? noRuntime

  const statusSchema = { tags, operationId: 'getStatus', summary: 'Ask whether hackd is up', response: { 200: Status } }
  app.get('/v1/status', { schema: statusSchema }, async (): Promise<Status> => {
    return { status: 'ok', version, pid: process.pid, started_at, uptime_ms: uptime(), ...(url && { url: url() }) }
  })

  const metricsSchema = { tags, operationId: 'getMetrics', summary: 'Read the counters', response: { 200: Metrics } }
  app.get('/v1/metrics', { schema: metricsSchema }, async (): Promise<Metrics> => {
    return { status: 'ok', started_at, uptime_ms: uptime(), ...counters(), streams_active: gauges().streamsActive }
  })

  const prometheusSchema = {
    tags,
    operationId: 'getPrometheusMetrics',
    summary: 'Read the metrics as Prometheus does',
    response: { 200: { description: 'The text format 0.0.4.', content: { 'text/plain': { schema: Type.String() } } } },
  }
  app.get('/metrics', { schema: prometheusSchema }, async (_request, reply) => {
    const { streamsActive, jobs = {}, shells = {} } = gauges()
    const { refresh_count, refresh_failures, events_seen } = counters()
    reply.type('text/plain; version=0.0.4; charset=utf-8')
    return [
      ...family('hackd_info', 'gauge', 'The running version.', 'version', { [version]: 1 }),
      ...family('hackd_uptime_seconds', 'gauge', 'Since hackd started.', uptime() / 1000),
      ...family('hackd_http_responses_total', 'counter', 'Answers by status class.', 'class', classes(answers)),
      ...family('hackd_streams_active', 'gauge', 'Open WebSocket streams.', streamsActive),
      ...family('hackd_jobs', 'gauge', 'Jobs on record by status.', 'status', jobs),
      ...family('hackd_shells', 'gauge', 'Shells by status.', 'status', shells),
      ...family('hackd_runtime_refreshes_total', 'counter', 'Refreshes of the Docker snapshot.', refresh_count),
      ...family('hackd_runtime_refresh_failures_total', 'counter', 'Refreshes that failed.', refresh_failures),
      ...family('hackd_runtime_events_total', 'counter', 'Docker events seen.', events_seen),
      ...family('process_resident_memory_bytes', 'gauge', 'Resident memory.', process.memoryUsage.rss()),
      ...family('hackd_event_loop_delay_seconds', 'gauge', 'How late the event loop ran.', 'quantile', {
        '0.5': late(delay.percentile(50)),
        '0.99': late(delay.percentile(99)),
        '1': late(delay.max),
      }),
      '',
    ].join('\n')
  })
}

function classes(answers: number[]): Record<string, number> {
  return Object.fromEntries(answers.flatMap((count, group) => (count > 0 ? [[`${group}xx`, count]] : [])))
}

/** The histogram holds nanoseconds between samples; what exceeds the sampling interval is delay. */
function late(nanoseconds: number): number {
  return Math.max(0, nanoseconds / 1e6 - sampleMs) / 1000
}

/** A metric in the Prometheus text format: one value, or one for each value of a label. */
function family(name: string, type: string, help: string, value: number): string[]
function family(name: string, type: string, help: string, label: string, values: Record<string, number>): string[]
function family(
  name: string,
  type: string,
  help: string,
  label: number | string,
  values: Record<string, number> = {},
): string[] {
  const samples =
    typeof label === 'number'
      ? [`${name} ${label}`]
      : Object.entries(values).map(([key, value]) => `${name}{${label}="${key}"} ${value}`)
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples]
}

export default fp(status, { name: 'status', fastify: '5.x' })
