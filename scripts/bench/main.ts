import { cpus, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { followers } from './followers.js'
import { jobRate } from './job-rate.js'
import { logLatency } from './log-latency.js'
import { logVolume } from './log-volume.js'
import { projects } from './projects.js'
import { runtimeLatency } from './runtime-latency.js'
import type { Row, Scenario } from './scenario.js'
import { shellAttach } from './shell-attach.js'
import { shellEcho } from './shell-echo.js'
import { shellInterference } from './shell-interference.js'
import { shellMemory } from './shell-memory.js'
import { shellOutput } from './shell-output.js'
import { shellViewers } from './shell-viewers.js'
import { startUp } from './start-up.js'
import { status } from './status.js'

const scenarios: Scenario[] = [
  status,
  logLatency,
  logVolume,
  jobRate,
  followers,
  startUp,
  projects,
  runtimeLatency,
  shellOutput,
  shellEcho,
  shellViewers,
  shellInterference,
  shellMemory,
  shellAttach,
]

const help = `npm run bench [-- [options] [name …]]

  --runs N   how often each side is measured (5)
  --json     one JSON document instead of a table
  --list     the names

${scenarios.map(({ name, about }) => `  ${name.padEnd(18)} ${about}`).join('\n')}
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

const unknown = positionals.filter(name => !scenarios.some(scenario => scenario.name === name))
if (values.help || values.list) process.stdout.write(help)
else if (unknown.length > 0 || !(Number(values.runs) >= 1)) {
  process.stderr.write(`There is no scenario ${unknown.join(', ')}, or --runs is no number.\n\n${help}`)
  process.exitCode = 2
} else await run(scenarios.filter(({ name }) => positionals.length === 0 || positionals.includes(name)))

async function run(chosen: Scenario[]): Promise<void> {
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`
  const results: { scenario: string; rows: Row[] }[] = []
  for (const scenario of chosen) {
    process.stderr.write(`${scenario.name}: ${scenario.about}\n`)
    const steps: (() => unknown)[] = []
    try {
      const bench = { runs: Number(values.runs), after: (step: () => unknown) => void steps.push(step) }
      results.push({ scenario: scenario.name, rows: await scenario.measure(bench) })
    } finally {
      for (const step of steps) await step()
    }
  }
  if (values.json)
    process.stdout.write(`${JSON.stringify({ machine, date: new Date().toISOString(), results }, null, 2)}\n`)
  else
    process.stdout.write(
      `\n${machine}\n\n${table(results.flatMap(({ scenario, rows }) => rows.map(row => ({ scenario, ...row }))))}`,
    )
}

function table(rows: ({ scenario: string } & Row)[]): string {
  const lines = rows.map(({ scenario, what, value, unit, spread, target }) =>
    [
      scenario,
      what,
      `${round(value)} ${unit}`,
      spread.map(round).join(' – '),
      target ? verdict(value, target) : '',
    ].join(' | '),
  )
  return ['scenario | what | median | spread | target', '--- | --- | --- | --- | ---', ...lines]
    .map(line => `| ${line} |\n`)
    .join('')
}

function verdict(value: number, target: NonNullable<Row['target']>): string {
  if ('atLeast' in target) return `≥ ${target.atLeast} ${value >= target.atLeast ? '✔' : '✖'}`
  return `≤ ${target.atMost} ${value <= target.atMost ? '✔' : '✖'}`
}

function round(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)
}
