// Runs after an installation, with nothing but Node: ends it with one sentence when hackd could not run here.
//
// node-pty ships no binary for Linux, so npm compiles it. It is an optional dependency for one reason: when compiling
// fails, npm then keeps the compiler's page of noise to itself, and this says what is missing.
import { accessSync, constants, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'

const requireHere = createRequire(import.meta.url)
const { engines } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
const oldest = engines.node.replace('>=', '')

const problem = isSupported(process.versions.node)
  ? describeMissing(['argon2', 'node-pty'].filter(name => !loads(name)))
  : `hackd needs Node ${oldest} or newer, and this is ${process.version}: see https://nodejs.org/en/download`

if (problem !== undefined) {
  process.stderr.write(`\n${problem}\n\n`)
  process.exit(1)
}

function isSupported(version) {
  const [major, minor] = version.split('.').map(Number)
  const [oldestMajor, oldestMinor] = oldest.split('.').map(Number)
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)
}

function loads(name) {
  try {
    requireHere(name)
    return true
  } catch {
    return false
  }
}

function describeMissing(modules) {
  if (modules.length === 0) return undefined
  const tools = [
    ['python3', process.env.npm_config_python ?? process.env.PYTHON],
    ['make', process.env.MAKE],
    ['g++', process.env.CXX],
  ].flatMap(([tool, other]) => (other || isOnPath(tool) ? [] : [tool]))
  if (tools.length === 0)
    return `hackd cannot load ${modules.join(' and ')}; see why with: npm install --foreground-scripts`
  return (
    `hackd compiles ${modules.join(' and ')} when it is installed, and ${tools.join(', ')} ` +
    `${tools.length === 1 ? 'is' : 'are'} missing: run "apt-get install python3 make g++" (Debian, Ubuntu), ` +
    '"dnf install python3 make gcc-c++" (Fedora) or "apk add python3 make g++" (Alpine), then npm again.'
  )
}

function isOnPath(tool) {
  return (process.env.PATH ?? '').split(delimiter).some(folder => {
    try {
      accessSync(join(folder, tool), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
