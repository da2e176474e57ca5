import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import argon2 from 'argon2'
import type { FastifyInstance } from 'fastify'
import pino from 'pino'
import { ProjectFile } from '../schemas/projects.js'
import { buildApp } from '../src/app.js'
import { createToken, type TokenRequest } from '../src/auth/token-file.js'
import { type Home, homeAt, prepareHome } from '../src/home.js'
import { type Services, startServices } from '../src/services.js'
import { replaceJson, updateJson } from '../src/storage/atomic-file.js'

export interface TestAppOptions {
  door?: 'tcp' | 'local'
  /** `controlPlane` of the config file. */
  config?: Record<string, unknown>
  token?: TokenRequest
  /** Project ids that are registered and enabled. */
  projects?: string[]
  /** Fills the home before anything reads it. */
  prepare?: (home: Home) => Promise<void>
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
  /** What hackd logged: JSON lines. */
  logged: string[]
  /** How many tokens argon2 has looked at. */
  argon2Runs: () => number
}

/** An app on a home of its own, which closes and removes itself when the test ends. */
export async function buildTestApp(t: TestContext, options: TestAppOptions = {}): Promise<TestApp> {
  const home = homeAt(await mkdtemp(join(tmpdir(), 'hackd-app-')))
  prepareHome(home)
  await replaceJson(home.config, { controlPlane: options.config ?? {} })
  await options.prepare?.(home)
  const { token } = await createToken(home, { scope: 'write', ...options.token })

  const logged: string[] = []
  for (const id of options.projects ?? []) await serveProject(home, id)
  let runs = 0
  const services = await startServices({
    home,
    log: pino({}, { write: line => void logged.push(line) }),
    version: '0.0.0-test',
    // No engine of this machine: what runs on it is none of a test's business.
    environment: { ...process.env, DOCKER_HOST: 'unix:///nowhere/docker.sock' },
    hostname: 'workstation',
    verify: (hash, secret) => {
      runs++
      return argon2.verify(hash, secret)
    },
  })
  const app = await buildApp(services, { door: options.door ?? 'tcp' })
  options.extend?.(app)
  t.after(async () => {
    await app.close()
    await services.close()
    await rm(home.root, { recursive: true, force: true })
  })
  const bearer = { authorization: `Bearer ${token}` }
  return { app, services, token, bearer, logged, argon2Runs: () => runs }
}

/** Registers and enables a project in a folder of its own below the home. */
async function serveProject(home: Home, id: string): Promise<void> {
  const repoRoot = join(home.root, 'repositories', id)
  const projectDir = join(repoRoot, '.hack')
  await mkdir(projectDir, { recursive: true })
  const config = { name: id, controlPlane: { gateway: { enabled: true } } }
  await writeFile(join(projectDir, 'hack.config.json'), JSON.stringify(config))
  const now = new Date().toISOString()
  const project = {
    id,
    name: id,
    repoRoot,
    projectDirName: '.hack',
    projectDir,
    createdAt: now,
    lastSeenAt: now,
    enabledAt: now,
  }
  await updateJson(home.projects, ProjectFile, { version: 1, projects: [] }, file => ({
    ...file,
    projects: [...file.projects, project],
  }))
}
