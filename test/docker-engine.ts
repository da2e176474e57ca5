import { execFile, execFileSync, spawn } from 'node:child_process'
import {
  accessSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { identify, isAlive, type ProcessIdentity, selfIdentity } from '../src/processes/identity.js'
import { eventually } from './eventually.js'

const run = promisify(execFile)
const prefix = 'hackd-engine-'
const busybox = '/bin/busybox'

/** Why no engine can be started here; undefined where one can. Hand it to `test` as `skip`. */
export const noEngine: string | false = whyNot()

function whyNot(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'an engine of its own needs Linux and root'
  const missing = ['dockerd', 'docker', 'docker-compose'].filter(program => !findProgram(program))
  if (missing.length > 0) return `not installed: ${missing.join(', ')}`
  return isStatic() ? false : `not installed: a static ${busybox} to make an image of`
}

function findProgram(name: string): string | undefined {
  return `${process.env.PATH}:/usr/sbin:/sbin`
    .split(delimiter)
    .map(folder => join(folder, name))
    .find(path => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

/** A program without an interpreter segment needs nothing else in its image. */
function isStatic(): boolean {
  return existsSync(busybox) && !readFileSync(busybox).subarray(0, 4096).includes('ld-linux')
}

/** A private Docker Engine: its own socket, data and containers, all in one temporary folder. */
export class TestEngine {
  readonly folder: string
  readonly socket: string
  readonly image = 'busybox:test'
  readonly environment: NodeJS.ProcessEnv
  #daemon: ProcessIdentity | undefined

  constructor(folder: string) {
    this.folder = folder
    this.socket = join(folder, 'docker.sock')
    this.environment = { PATH: process.env.PATH, HOME: folder, DOCKER_HOST: `unix://${this.socket}` }
  }

  /** Starts an engine that has the image, and clears away what a killed run left. */
  static async start(): Promise<TestEngine> {
    sweep()
    const engine = new TestEngine(await mkdtemp(join(tmpdir(), prefix)))
    try {
      await writeFile(join(engine.folder, 'owner.json'), JSON.stringify(selfIdentity()))
      await engine.up()
      await engine.#importImage()
      return engine
    } catch (error) {
      await engine.close()
      throw error
    }
  }

  /** Starts the daemon, for the first time or again. */
  async up(): Promise<void> {
    const { folder } = this
    const log = openSync(join(folder, 'dockerd.log'), 'a')
    // Nothing of the host's network is touched but for bridges with addresses of their own.
    const subnet = `10.${150 + Math.floor(Math.random() * 100)}.${Math.floor(Math.random() * 16) * 16}.0/20`
    const flags = [
      `--host=unix://${this.socket}`,
      `--data-root=${join(folder, 'data')}`,
      `--exec-root=${join(folder, 'exec')}`,
      `--pidfile=${join(folder, 'dockerd.pid')}`,
      ...['--iptables=false', '--ip6tables=false', '--ip-masq=false', '--ip-forward=false', '--bridge=none'],
      `--default-address-pool=base=${subnet},size=24`,
      '--shutdown-timeout=1',
    ]
    const child = spawn(findProgram('dockerd') ?? 'dockerd', flags, {
      stdio: ['ignore', log, log],
      detached: true,
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
    })
    child.unref()
    closeSync(log)
    this.#daemon = child.pid === undefined ? undefined : identify(child.pid)
    const answers = () => this.docker('version').then(Boolean, () => false)
    await eventually(`dockerd answers; see ${join(folder, 'dockerd.log')}`, answers, 60_000)
  }

  /** Stops the daemon and, as an engine does, its containers. */
  async down(): Promise<void> {
    if (!this.#daemon) return
    const daemon = this.#daemon
    this.signal('SIGTERM')
    await eventually('dockerd ends', () => !isAlive(daemon), 30_000).catch(() => this.signal('SIGKILL'))
    this.#daemon = undefined
  }

  /** SIGSTOP makes an engine that accepts connections and answers none of them. */
  signal(signal: NodeJS.Signals): void {
    if (this.#daemon && isAlive(this.#daemon)) process.kill(this.#daemon.pid, signal)
  }

  /** Runs `docker ARGS…` against this engine; returns its output without the last newline. */
  async docker(...args: string[]): Promise<string> {
    const { stdout } = await run('docker', args, { env: this.environment, timeout: 60_000, maxBuffer: 2 ** 26 })
    return stdout.replace(/\n$/, '')
  }

  /** Runs `docker-compose ARGS…` in the folder of a compose file. */
  async compose(cwd: string, ...args: string[]): Promise<string> {
    const { stdout } = await run('docker-compose', args, { cwd, env: this.environment, timeout: 120_000 })
    return stdout
  }

  /** Creates a container with the labels of a Compose service, without the cost of Compose. Returns its id. */
  container(service: { project: string; service: string; args?: string[]; start?: boolean }, ...command: string[]) {
    const labels = { project: service.project, service: service.service, oneoff: 'False' }
    const flags = Object.entries(labels).map(([key, value]) => `--label=com.docker.compose.${key}=${value}`)
    const verb = service.start === false ? ['create'] : ['run', '--detach']
    const args = ['--network=none', '--stop-signal=KILL', ...flags, ...(service.args ?? [])]
    return this.docker(...verb, ...args, this.image, ...command)
  }

  /** Stops everything and removes the folder. */
  async close(): Promise<void> {
    try {
      this.signal('SIGCONT')
      const containers = (await this.docker('ps', '--all', '--quiet')).split('\n').filter(id => id !== '')
      if (containers.length > 0) await this.docker('rm', '--force', '--volumes', ...containers)
      await this.docker('network', 'prune', '--force')
    } catch {
      // The engine is down already: its containers went with it.
    }
    await this.down()
    clear(this.folder)
  }

  async #importImage(): Promise<void> {
    const root = join(this.folder, 'image')
    for (const folder of ['bin', 'tmp', 'etc']) await mkdir(join(root, folder), { recursive: true })
    copyFileSync(busybox, join(root, 'bin/busybox'))
    const applets = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).split('\n')
    for (const applet of applets.filter(name => name !== '' && name !== 'busybox'))
      symlinkSync('busybox', join(root, 'bin', applet))
    const tar = join(this.folder, 'image.tar')
    execFileSync('tar', ['--create', '--file', tar, '--directory', root, '.'])
    await this.docker('import', '--change', 'CMD ["sh"]', tar, this.image)
  }
}

/** Removes engines whose owner was killed before it could. */
function sweep(): void {
  for (const name of readdirSync(tmpdir()).filter(entry => entry.startsWith(prefix))) {
    const folder = join(tmpdir(), name)
    try {
      if (!isAlive(JSON.parse(readFileSync(join(folder, 'owner.json'), 'utf8')))) clear(folder)
    } catch {
      // Just being made, or just being removed, by somebody else.
    }
  }
}

/** Ends every process that serves this folder's engine, undoes its mounts and removes it. */
function clear(folder: string): void {
  for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
    try {
      if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${folder}/`) && Number(pid) !== process.pid)
        process.kill(Number(pid), 'SIGKILL')
    } catch {
      // Gone meanwhile.
    }
  }
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map(line => line.split(' ')[1] ?? '')
    .filter(path => path.startsWith(`${folder}/`))
  for (const path of mounts.reverse()) execFileSync('umount', ['--lazy', path], { stdio: 'ignore' })
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
}
