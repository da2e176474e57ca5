#!/usr/bin/env -S node --max-semi-space-size=4
import { hostname } from 'node:os'
import type { Logger } from 'pino'
import { type Started, startDaemon } from './daemon.js'
import { FlagError, helpText, parseFlags } from './flags.js'
import { locateHome } from './home.js'
import { openLog } from './log.js'
import { version } from './version.js'

/** Exit codes: 0 ended as asked, 1 failed, 2 bad flags or config, 3 another hackd runs on this home. */
async function main(): Promise<void> {
  const flags = readFlags()
  if (flags.help) return void process.stdout.write(helpText)
  if (flags.version) return void process.stdout.write(`hackd ${version}\n`)
  const log = openLog(flags.logLevel, process.stderr.isTTY === true)
  endOnFaults(log)
  const starting = startDaemon({
    home: locateHome(flags.home, process.env),
    bind: flags.bind,
    port: flags.port,
    log,
    version,
    hostname: hostname(),
    environment: process.env,
    announce: line => process.stdout.write(`${line}\n`),
  })
  // Before it is ready: whoever reads that line may send one at once.
  endOnSignals(starting, log)
  const started = await starting
  if ('daemon' in started) return
  process.stderr.write(`hackd: ${started.problem}\n`)
  process.exitCode = started.exitCode
}

function endOnSignals(starting: Promise<Started>, log: Logger): void {
  let signals = 0
  const end = async (signal: NodeJS.Signals) => {
    // A second signal is somebody in a hurry. Jobs run on either way.
    if (++signals > 1) process.exit(1)
    log.info({ signal }, 'stopping')
    const started = await starting
    if ('daemon' in started) await started.daemon.close()
    process.exit(process.exitCode ?? 0)
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () =>
      end(signal).catch(error => {
        log.fatal({ err: error }, 'could not stop cleanly')
        process.exit(1)
      }),
    )
}

function endOnFaults(log: Logger): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const)
    process.on(event, error => {
      log.fatal({ err: error }, 'a fault in hackd; it ends, and its jobs run on')
      process.exit(1)
    })
}

function readFlags() {
  try {
    return parseFlags(process.argv.slice(2))
  } catch (error) {
    if (!(error instanceof FlagError)) throw error
    process.stderr.write(`${error.problems.map(problem => `hackd: ${problem}`).join('\n')}\nSee: hackd --help\n`)
    process.exit(2)
  }
}

await main()
