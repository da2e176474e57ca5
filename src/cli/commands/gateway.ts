import type { ProjectRecord } from '../../../schemas/projects.js'
import { createProjectConfig, defaultName, setGatewayEnabled } from '../../projects/project-config.js'
import { readProjects, registerProject, setEnabled } from '../../projects/project-file.js'
import { isPresent } from '../../projects/repository-file.js'
import { lockOwner } from '../../storage/lock-file.js'
import { type Cli, CliError, type Configure, examples } from '../cli.js'
import { findProjectRoot } from '../project-root.js'
import { inert } from '../ui/inert.js'

interface Options {
  project?: string
  json?: boolean
}

export const gateway: Configure = (command, cli) => {
  const enableCommand = command
    .command('enable')
    .description('open the project of this folder to the gateway; registers it if needed')
    .option('--json', 'print the project as JSON')
    .action((options: Options) => enable(options, cli))
  examples(enableCommand, [['hack gateway enable', 'open the project you are in']])
  const disableCommand = command
    .command('disable')
    .description('close the project of this folder to the gateway; its streams end at once')
    .option('--project <id>', 'another project, also one whose folder is gone')
    .option('--json', 'print the project as JSON')
    .action((options: Options) => disable(options, cli))
  examples(disableCommand, [
    ['hack gateway disable', 'close the project you are in'],
    ['hack gateway disable --project 0123456789ab', 'close one by its id; see: hack projects'],
  ])
  examples(command, [
    ['hack gateway enable', 'open the project you are in'],
    ['hack gateway disable', 'close it again'],
  ])
}

async function enable(options: Options, cli: Cli): Promise<void> {
  const { folder } = findProjectRoot(cli.cwd, cli.home)
  await createProjectConfig(folder, defaultName(folder))
  const { id } = await registerProject(cli.home, folder)
  await setGatewayEnabled(folder, true)
  const project = await setEnabled(cli.home, id, true)
  if (!project) throw new CliError('project_gone', `Project ${id} was removed from the registry meanwhile.`)
  show(project, 'enabled', options, cli)
  const running = await lockOwner(cli.home.pidFile)
  const token = 'hack x gateway token-create'
  if (!options.json) cli.output.note(running ? `Next: ${token}` : `Next: hack daemon start\n      ${token}`)
}

async function disable(options: Options, cli: Cli): Promise<void> {
  const id = options.project ?? (await projectHere(cli))
  const project = id === undefined ? undefined : await setEnabled(cli.home, id, false)
  if (!project)
    throw new CliError('unknown_project', id ? `There is no project ${inert(id)}.` : 'This folder is no project.', {
      next: 'See: hack projects',
    })
  if (isPresent(project.repoRoot)) await setGatewayEnabled(project.repoRoot, false)
  show(project, 'disabled', options, cli)
}

async function projectHere(cli: Cli): Promise<string | undefined> {
  const { folder } = findProjectRoot(cli.cwd, cli.home)
  return (await readProjects(cli.home)).find(project => project.repoRoot === folder)?.id
}

function show(project: ProjectRecord, state: string, options: Options, { output }: Cli): void {
  if (options.json) output.json(project)
  else output.line(`${output.style('bold', inert(project.name))}  ${project.id}  ${state}`)
}
