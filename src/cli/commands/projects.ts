import { viewProject } from '../../projects/project-view.js'
import { isServed, ProjectRegistry } from '../../projects/registry.js'
import { type Configure, examples } from '../cli.js'
import { inert } from '../ui/inert.js'
import { formatTable } from '../ui/table.js'

export const projects: Configure = (command, cli) => {
  command.option('--json', 'print them as JSON').action((options: { json?: boolean }) => {
    const { output } = cli
    const registry = new ProjectRegistry(cli.home, problem => output.note(inert(problem)))
    const list = registry.list()
    registry.close()
    if (options.json)
      return output.json({ projects: list.map(one => ({ ...viewProject(one), enabled: isServed(one) })) })
    if (list.length === 0) return output.note('No project is registered. In the folder of one, run: hack init')
    const rows = list.map(one => [
      one.id,
      inert(one.name),
      one.present ? (isServed(one) ? 'enabled' : 'disabled') : 'missing',
      inert(one.repoRoot),
    ])
    const [headings = '', ...lines] = formatTable(['ID', 'NAME', 'GATEWAY', 'FOLDER'], rows)
    output.line(output.style('dim', headings))
    for (const line of lines) output.line(line)
  })
  examples(command, [
    ['hack projects', 'ids, names, and whether the gateway serves them'],
    ['hack projects --json', 'the same for a script'],
  ])
}
