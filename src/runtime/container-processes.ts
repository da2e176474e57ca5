import { setTimeout as delay } from 'node:timers/promises'
import type { Engine } from './engine.js'
import { unframe } from './log-frames.js'

/**
 * sh SCRIPT: signals what bears the mark $2 in its environment, and its children; with KILL everything is stopped first, so that
 * none forks away. Prints how many there were. It needs a container with sh, tr and grep, and sees the processes of its own user.
 */
const script = `
exec 2>/dev/null
command -v tr >/dev/null && command -v grep >/dev/null || exit
find() {
  members=' ' again=1
  for folder in /proc/[0-9]*; do
    tr '\\0' '\\n' <"$folder/environ" | grep -qxF "$2" && members="$members\${folder#/proc/} "
  done
  while [ "$again" ]; do
    again=
    for folder in /proc/[0-9]*; do
      pid=\${folder#/proc/}
      case $members in *" $pid "*) continue ;; esac
      while read -r key value rest; do
        case $key in PPid:|NSsid:)
          case $members in *" $value "*) members="$members$pid "; again=1; break ;; esac
        esac
      done <"$folder/status"
    done
  done
}
if [ "$1" = KILL ]; then find "$@"; kill -STOP $members; fi
find "$@"
set -- "$1" $members
signal=$1
shift
[ $# -eq 0 ] || [ "$signal" = LOOK ] || kill -"$signal" "$@"
[ "$signal" != TERM ] || [ $# -eq 0 ] || kill -CONT "$@"
echo "left $#"
`

/** Rounds of SIGKILL; what outruns them all cannot be ended from here. */
const roundsMax = 50

/**
 * Ends all processes of a job in a container that lives on: TERM, grace, KILL. Returns the last signal that was needed.
 * @throws Error when the container has not what that takes; hackd's own look at this machine's processes is what is left then
 */
export async function endProcesses(
  engine: Engine,
  container: string,
  jobId: string,
  graceMs: number,
): Promise<NodeJS.Signals> {
  const signal = (name: string) => signalled(engine, container, name, `HACK_JOB_ID=${jobId}`)
  if (graceMs > 0) {
    const deadline = performance.now() + graceMs
    let left = await signal('TERM')
    while (left > 0 && performance.now() < deadline) {
      await delay(Math.min(100, Math.max(0, deadline - performance.now())))
      left = await signal('LOOK')
    }
    if (left === 0) return 'SIGTERM'
  }
  for (let round = 0; round < roundsMax; round++) if ((await signal('KILL')) === 0) return 'SIGKILL'
  throw new Error('some processes of the job outrun SIGKILL')
}

async function signalled(engine: Engine, container: string, signal: string, mark: string): Promise<number> {
  const exec = await engine.call('new exec', abortSignal =>
    engine.docker.getContainer(container).exec({
      AttachStdout: true,
      AttachStderr: true,
      Cmd: ['sh', '-c', script, 'sh', signal, mark],
      abortSignal,
    }),
  )
  const said = await engine.call('end of the processes', async abortSignal => {
    let text = ''
    const stream = await exec.start({ hijack: true, abortSignal })
    for await (const bytes of unframe(stream as AsyncIterable<Buffer>)) text += bytes.toString()
    return text
  })
  const left = /^left (\d+)$/m.exec(said)?.[1]
  if (left === undefined) throw new Error(`the container cannot end its processes: ${said.trim()}`)
  return Number(left)
}
