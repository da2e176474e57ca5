/**
 * Whose Compose project this is: the project of that very name, else the one with the longest name for which it reads
 * `<name>--<branch>`. Hand in every registered project, so that one's own name always beats another's branch.
 */
export function ownerOf<P extends { name: string }>(composeProject: string, projects: Iterable<P>): P | undefined {
  let owner: P | undefined
  for (const project of projects) {
    if (project.name === composeProject) return project
    const prefix = `${project.name}--`
    const fits = composeProject.startsWith(prefix) && composeProject.length > prefix.length
    if (fits && project.name.length > (owner?.name.length ?? 0)) owner = project
  }
  return owner
}
