import { createProjectConfig, defaultName, isProjectName, readProjectConfig } from '../../projects/project-config.js'
import { registerProject } from '../../projects/project-file.js'
import { type Configure, examples, usageError } from '../cli.js'
import { findProjectRoot } from '../project-root.js'
import { inert } from '../ui/inert.js'

export const init: Configure = (command, cli) => {
  command
    .option('--name <name>', "the project's name (default: that of the folder)")
    .option('--json', 'print the project as JSON')
    .action(async (options: { name?: string; json?: boolean }) => {
      const { folder, isRepository } = findProjectRoot(cli.cwd, cli.home)
      if (options.name !== undefined && !isProjectName(options.name))
        throw usageError('A name is 1 to 100 printable characters, without spaces around it.')
      const configCreated = await createProjectConfig(folder, options.name ?? defaultName(folder))
      refuseOtherName(folder, options.name)
      const project = await registerProject(cli.home, folder)
      if (!isRepository) cli.output.note(`note: no git repository here; ${inert(folder)} itself is the project.`)
      if (project.name !== (options.name ?? project.name))
        cli.output.note(`note: it stays ${inert(project.name)}, as it was registered; tokens and jobs refer to it.`)
      if (options.json) return cli.output.json({ ...project, configCreated })
      cli.output.line(`${cli.output.style('bold', inert(project.name))}  ${project.id}`)
      cli.output.line(`  folder  ${inert(folder)}`)
      cli.output.line(`  config  ${inert(project.projectDir)}/hack.config.json${configCreated ? ' (created)' : ''}`)
      if (project.enabledAt === undefined) cli.output.note('Next: hack gateway enable')
    })
  examples(command, [
    ['hack init', 'register the repository you are in'],
    ['hack init --name shop', 'under a name of your choice'],
    ['hack init --json', 'print its id for a script'],
  ])
}

/** The config is never overwritten, so a name that differs from the one in it would be lost silently. */
function refuseOtherName(folder: string, name: string | undefined): void {
  const present = readProjectConfig(folder).config?.name
  if (name !== undefined && present !== undefined && present !== name)
    throw usageError(
      `The project's config already names it "${inert(present)}".`,
      `Leave --name out, or change "name" in ${inert(folder)}/.hack/hack.config.json.`,
    )
}
