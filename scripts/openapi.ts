import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { buildApp } from '../src/app.js'
import { homeAt, prepareHome } from '../src/home.js'
import { startServices } from '../src/services.js'
import { version } from '../src/version.js'

/** Writes the OpenAPI document to a file, or to stdout for `-`. Nothing listens: the app is built, asked and closed. */
const [target = 'dist/openapi.json'] = process.argv.slice(2)
const text = `${JSON.stringify(await describeApp(), null, 2)}\n`
if (target === '-') process.stdout.write(text)
else await writeFile(target, text)

async function describeApp(): Promise<object> {
  const home = homeAt(await mkdtemp(join(tmpdir(), 'hackd-openapi-')))
  try {
    prepareHome(home)
    const environment = { PATH: process.env.PATH, DOCKER_HOST: 'unix:///nowhere/docker.sock' }
    const log = pino({ level: 'silent' })
    const services = await startServices({ home, log, version, environment, hostname: 'localhost' })
    const app = await buildApp(services, { door: 'tcp' })
    try {
      await app.ready()
      return app.swagger()
    } finally {
      await app.close()
      await services.close()
    }
  } finally {
    await rm(home.root, { recursive: true, force: true })
  }
}
