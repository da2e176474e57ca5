import { startHackd } from '../../test/hackd.js'
import { compareRates } from './request-rates.js'
import type { Scenario } from './scenario.js'

export const status: Scenario = {
  name: 'status',
  about: 'authenticated GET /v1/status against a bare Fastify route with the same payload, 32 connections',
  async measure(bench) {
    const hackd = await startHackd(bench, { config: { gateway: { rateLimit: { perMinute: 1e9 } } } })
    return compareRates(bench, { hackd, path: '/v1/status', atLeast: 0.8 })
  },
}
