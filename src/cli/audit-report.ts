import { verifyAudit } from '../audit/audit-check.js'
import { prepareHome } from '../home.js'
import { type Cli, CliError } from './cli.js'
import { inert } from './ui/inert.js'

/** Prints what the check of the audit log found. @throws CliError when the chain is broken. */
export async function verify(options: { json?: boolean }, { home, output }: Cli): Promise<void> {
  prepareHome(home)
  const check = await verifyAudit(home.audit)
  if (check.broken.length > 0) {
    const places = check.broken.map(({ file, line }) => `  ${inert(file)}:${line}`)
    if (options.json) output.json({ intact: false, ...check })
    throw new CliError(
      'audit_broken',
      ['The audit log was tampered with. The chain breaks at:', ...places].join('\n'),
      {
        next: 'Compare it with a backup: the lines before a break, or the line itself, are not what hackd wrote.',
        reported: options.json === true,
      },
    )
  }
  if (options.json) return output.json({ intact: true, ...check })
  output.line(`The audit log is intact: ${check.lines} lines in ${check.files} files.`)
  if (check.torn > 0) output.note(`${check.torn} lines were cut off by a crash; the chain continues over them.`)
  if (!check.fromTheStart) output.note('Older files were rotated away; the chain is checked from the oldest one left.')
}
