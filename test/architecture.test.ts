import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'

/** Which rooms a room may import from. `type:` marks rooms that it may know by `import type` only. */
const storage = ['src/storage', 'src/processes', 'src/errors.ts', 'schemas', 'src/home.ts']
const allowed: Record<string, string[]> = {
  schemas: ['schemas'],
  'src/errors.ts': [],
  'src/processes': ['src/processes', 'src/errors.ts'],
  'src/storage': ['src/storage', 'src/processes', 'src/errors.ts'],
  'src/home.ts': ['src/storage'],
  'src/config.ts': ['src/storage', 'src/errors.ts'],
  'src/auth': ['src/auth', ...storage, 'type:src/config.ts', 'type:src/projects'],
  'src/audit': ['src/audit', ...storage, 'type:src/config.ts'],
  'src/projects': ['src/projects', ...storage, 'type:src/config.ts'],
  'src/jobs': [
    'src/jobs',
    'src/projects/working-directory.ts',
    ...storage,
    'type:src/config.ts',
    'type:src/projects',
    'type:src/runtime',
  ],
  'src/shells': [
    'src/shells',
    'src/projects/working-directory.ts',
    ...storage,
    'type:src/config.ts',
    'type:src/projects',
  ],
  'src/runtime': ['src/runtime', ...storage, 'type:src/config.ts', 'type:src/projects'],
  'src/client': ['src/client', 'type:schemas'],
  plugins: ['schemas', 'src/errors.ts', 'plugins/streams.ts', 'type:src'],
  'plugins/docs.ts': ['plugins/docs', 'schemas', 'src/errors.ts', 'type:src'],
  'plugins/docs': ['plugins/docs', 'schemas', 'src/errors.ts'],
  'src/app.ts': ['plugins', 'schemas', 'src/errors.ts', 'type:src'],
  'src/services.ts': ['src'],
  'src/main.ts': ['src'],
}
const domain = [
  'src/auth',
  'src/audit',
  'src/projects',
  'src/jobs',
  'src/shells',
  'src/runtime',
  'src/storage',
  'src/processes',
]

interface Import {
  file: string
  target: string
  typeOnly: boolean
}

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => join(folder, name))
}

function importsOf(file: string): Import[] {
  const pattern = /^(?:import|export)\s+(type\s)?[^'"]*?from\s+['"]([^'"]+)['"]|import\(['"]([^'"]+)['"]\)/gm
  return [...readFileSync(file, 'utf8').matchAll(pattern)].map(([, typeOnly, from, dynamic]) => {
    const target = from ?? dynamic ?? ''
    const local = target.startsWith('.') ? normalize(join(dirname(file), target)).replace(/\.js$/, '.ts') : target
    return { file, target: local, typeOnly: typeOnly !== undefined }
  })
}

const inside = (path: string, room: string) => path === room || path.startsWith(`${room}/`)
const roomOf = (file: string) =>
  Object.keys(allowed)
    .filter(room => inside(file, room))
    .sort((a, b) => b.length - a.length)[0]

const all = ['schemas', 'plugins', 'src'].flatMap(sources).flatMap(importsOf)
const isLocal = ({ target }: Import) => target.includes('/') && !target.startsWith('@') && !target.startsWith('node:')

test('imports run in the one direction that the rooms allow', () => {
  const wrong = all.filter(isLocal).filter(({ file, target, typeOnly }) => {
    const room = roomOf(file)
    if (room === undefined || /\.(json|sh)$/.test(target)) return false
    return !allowed[room]?.some(entry =>
      entry.startsWith('type:') ? typeOnly && inside(target, entry.slice(5)) : inside(target, entry),
    )
  })
  assert.deepEqual(wrong, [])
})

test('the domain knows no Fastify, and the schemas know TypeBox only', () => {
  const wrong = all.filter(({ file, target }) => {
    if (domain.some(room => inside(file, room))) return /^(fastify|@fastify\/)/.test(target)
    return inside(file, 'schemas') && !target.startsWith('schemas/') && target !== '@sinclair/typebox'
  })
  assert.deepEqual(wrong, [])
})

test('only main programs read the process environment and arguments', () => {
  const readers = ['plugins', 'src']
    .flatMap(sources)
    .filter(file => !/^src\/(cli|console|client|main\.ts|runtime\/container-program\.ts)/.test(file))
    .filter(file => /process\.(env|argv)\b/.test(readFileSync(file, 'utf8')))
  assert.deepEqual(readers, [])
})
