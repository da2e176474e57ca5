import { existsSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Home } from '../home.js'
import { configName } from '../projects/project-config.js'
import { projectDirName } from '../projects/repository-file.js'
import { usageError } from './cli.js'

export interface ProjectRoot {
  folder: string
  /** False when the folder was taken for want of a repository. */
  isRepository: boolean
}

/** The nearest folder upwards that is a project already or a git repository; else the given one. */
export function findProjectRoot(from: string, home: Home): ProjectRoot {
  const start = realpathSync(from)
  let found: ProjectRoot = { folder: start, isRepository: false }
  for (let folder = start; ; folder = dirname(folder)) {
    const isRepository = existsSync(join(folder, '.git'))
    if (isRepository || (existsSync(join(folder, projectDirName, configName)) && !isHome(folder, home))) {
      found = { folder, isRepository }
      break
    }
    if (folder === dirname(folder)) break
  }
  if (isHome(found.folder, home))
    throw usageError(
      `${found.folder} cannot be a project: its ${projectDirName} folder is the home of hackd.`,
      'Run this in the folder of a project, or choose another home with --home.',
    )
  return found
}

/** `~` holds `~/.hack`, which is hackd's own. */
function isHome(folder: string, home: Home): boolean {
  const projectDir = join(folder, projectDirName)
  return projectDir === home.root || (existsSync(projectDir) && realpathOr(home.root) === realpathSync(projectDir))
}

function realpathOr(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
