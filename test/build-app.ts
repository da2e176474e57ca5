import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import argon2 from 'argon2'
import type { FastifyInstance } from 'fastify'
import pino from 'pino'
import { buildApp } from '../src/app.js'
import { AuditLog } from '../src/audit/audit-log.js'
import { Access } from '../src/auth/access.js'
import { loadHomeKey } from '../src/auth/home-key.js'
import { HostRules } from '../src/auth/host-rules.js'
import { LastUsed } from '../src/auth/last-used.js'
import { createToken, type TokenRequest } from '../src/auth/token-file.js'
import { TokenStore } from '../src/auth/token-store.js'
import { Verifier } from '../src/auth/verifier.js'
import { LiveConfig } from '../src/config.js'
import { homeAt, prepareHome } from '../src/home.js'
import type { Services } from '../src/services.js'
import { replaceJson } from '../src/storage/atomic-file.js'

export interface TestAppOptions {
  door?: 'tcp' | 'local'
  /** `controlPlane` of the config file. */
  config?: Record<string, unknown>
  token?: TokenRequest
  /** Project ids that are registered and enabled. */
  projects?: string[]
  /** Adds routes before the app is ready. */
  extend?: (app: FastifyInstance) => void
}

export interface TestApp {
  app: FastifyInstance
  services: Services
  /** A write token, unless `options.token` says otherwise. */
  token: string
  /** Headers that present it. */
  bearer: { authorization: string }
  /** What hackd logged, and what it reported. */
  logged: string[]
  reported: string[]
  /** How many tokens argon2 has looked at. */
  argon2Runs: () => number
}

/** An app on a home of its own, which closes and removes itself when the test ends. */
export async function buildTestApp(t: TestContext, options: TestAppOptions = {}): Promise<TestApp> {
  const home = homeAt(await mkdtemp(join(tmpdir(), 'hackd-app-')))
  prepareHome(home)
  await replaceJson(home.config, { controlPlane: options.config ?? {} })
  const { token } = await createToken(home, { scope: 'write', ...options.token })

  const logged: string[] = []
  const reported: string[] = []
  const report = (problem: string) => void reported.push(problem)
  const projects = new Set(options.projects)
  const config = new LiveConfig(home.config, report)
  const tokens = new TokenStore(home.tokens, report)
  let runs = 0
  const verifier = new Verifier(await loadHomeKey(home.key), tokens, (hash, secret) => {
    runs++
    return argon2.verify(hash, secret)
  })
  const directory = { isServed: (id: string) => projects.has(id) }
  const services: Services = {
    home,
    config,
    log: pino({}, { write: line => void logged.push(line) }),
    tokens,
    lastUsed: new LastUsed(home.lastUsed, report),
    verifier,
    hosts: new HostRules(config, 'workstation'),
    access: new Access(config, tokens, directory),
    audit: new AuditLog(home.audit, () => config.current.audit, report),
    projects: directory,
    version: '0.0.0-test',
    startedAt: new Date(),
  }
  const app = await buildApp(services, { door: options.door ?? 'tcp' })
  options.extend?.(app)
  t.after(async () => {
    await app.close()
    await services.audit.close()
    await services.lastUsed.close()
    services.hosts.close()
    verifier.close()
    tokens.close()
    config.close()
    await rm(home.root, { recursive: true, force: true })
  })
  const bearer = { authorization: `Bearer ${token}` }
  return { app, services, token, bearer, logged, reported, argon2Runs: () => runs }
}
