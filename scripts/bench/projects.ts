import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { registerProject, setEnabled } from '../../src/projects/project-file.js'
import { Engine } from '../../src/runtime/engine.js'
import { noEngine, TestEngine } from '../../test/docker-engine.js'
import { eventually } from '../../test/eventually.js'
import { type Hackd, startHackd } from '../../test/hackd.js'
import { enabledConfig, makeRepository } from '../../test/projects/repository.js'
import { compareRates } from './request-rates.js'
import { row, type Scenario } from './scenario.js'

const projectCount = 20
const containerCount = 200

export const projects: Scenario = {
  name: 'projects',
  about: `GET /v1/projects with ${containerCount} containers in ${projectCount} projects against bare Fastify and the same payload`,
  async measure(bench) {
    if (noEngine) throw new Error(noEngine)
    const engine = await TestEngine.start()
    // Steps are run in their order: hackd goes before its engine does.
    const runtime = { dockerHost: `unix://${engine.socket}` }
    const hackd = await startHackd(bench, { config: { gateway: { rateLimit: { perMinute: 1e9 } }, runtime } })
    bench.after(() => engine.close())
    await makeProjects(hackd)
    await makeContainers(engine)
    let text = ''
    await eventually('all containers are shown', async () => {
      text = JSON.stringify((await hackd.call('GET', '/v1/projects')).body)
      return text.split('"status":"Created"').length === containerCount + 1
    })
    const payload = join(engine.folder, 'payload.json')
    await writeFile(payload, text)
    const rates = await compareRates(bench, { hackd, path: '/v1/projects', payload, atLeast: 0.5 })
    return [...rates, row('payload', 'KiB', [text.length / 1024])]
  },
}

async function makeProjects({ home }: Hackd): Promise<void> {
  for (let index = 0; index < projectCount; index++) {
    const config = { name: `many-${index}`, ...enabledConfig }
    const { id } = await registerProject(home, makeRepository(join(home.root, '..', `many-${index}`), { config }))
    await setEnabled(home, id, true)
  }
}

/** Created ones, not running: a list shows them just the same. */
async function makeContainers(engine: TestEngine): Promise<void> {
  const client = await Engine.connect({ kind: 'unix', path: engine.socket }, 60_000)
  const create = (index: number) => {
    const project = `many-${index % projectCount}`
    const labels = { project, service: `service-${Math.floor(index / 40)}`, oneoff: 'False' }
    return client.docker.createContainer({
      Image: engine.image,
      name: `${project}_${index}`,
      Labels: Object.fromEntries(Object.entries(labels).map(([key, value]) => [`com.docker.compose.${key}`, value])),
      HostConfig: { NetworkMode: 'none' },
    })
  }
  await Promise.all(Array.from({ length: containerCount }, (_, index) => create(index)))
  client.close()
}
