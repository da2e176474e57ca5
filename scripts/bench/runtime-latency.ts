import type { ProjectList } from '../../schemas/projects.js'
import { Engine } from '../../src/runtime/engine.js'
import { noEngine, TestEngine } from '../../test/docker-engine.js'
import { eventually } from '../../test/eventually.js'
import { type Hackd, startHackd } from '../../test/hackd.js'
import { percentile, row, type Scenario } from './scenario.js'

const changes = 20

export const runtimeLatency: Scenario = {
  name: 'runtime-latency',
  about: 'from the engine’s answer that a container changed until GET /v1/projects shows it',
  async measure(bench) {
    if (noEngine) throw new Error(noEngine)
    const engine = await TestEngine.start()
    const runtime = { dockerHost: `unix://${engine.socket}` }
    const hackd = await startHackd(bench, { config: { gateway: { rateLimit: { perMinute: 1e9 } }, runtime } })
    bench.after(() => engine.close())
    const client = await Engine.connect({ kind: 'unix', path: engine.socket }, 60_000)
    bench.after(() => client.close())
    const id = await engine.container({ project: 'demo', service: 'web' }, 'sleep', '3600')
    await eventually('it is shown', async () => (await stateOf(hackd)) === 'running')
    const container = client.docker.getContainer(id)
    const medians: number[] = []
    const worst: number[] = []
    for (let run = 0; run < bench.runs; run++) {
      const times: number[] = []
      for (let change = 0; change < changes; change++) {
        const pauses = change % 2 === 0
        await (pauses ? container.pause() : container.unpause())
        times.push(await shown(hackd, pauses ? 'paused' : 'running'))
      }
      medians.push(percentile(times, 0.5))
      worst.push(percentile(times, 0.99))
    }
    return [row('event to answer, p50', 'ms', medians, { atMost: 400 }), row('event to answer, p99', 'ms', worst)]
  },
}

async function stateOf(hackd: Hackd): Promise<string | undefined> {
  const { projects } = (await hackd.call('GET', '/v1/projects')).body as ProjectList
  return projects[0]?.runtime?.services[0]?.containers[0]?.state
}

async function shown(hackd: Hackd, state: string): Promise<number> {
  const began = performance.now()
  while ((await stateOf(hackd)) !== state) if (performance.now() - began > 30_000) throw new Error('it is never shown')
  return performance.now() - began
}
