import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Makes a folder with a `.hack` in it that holds these files. */
export function makeRepository(root: string, files: { config?: unknown; compose?: string } = {}): string {
  mkdirSync(join(root, '.hack'), { recursive: true })
  if (files.config !== undefined) {
    const text = typeof files.config === 'string' ? files.config : JSON.stringify(files.config)
    writeFileSync(join(root, '.hack', 'hack.config.json'), text)
  }
  if (files.compose !== undefined) writeFileSync(join(root, '.hack', 'docker-compose.yml'), files.compose)
  return root
}

export const enabledConfig = { controlPlane: { gateway: { enabled: true } } }
