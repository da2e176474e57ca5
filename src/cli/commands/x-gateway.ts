import { verify } from '../audit-report.js'
import { type Configure, examples } from '../cli.js'
import { createOne, listAll, revokeOne, rotateOne } from '../tokens.js'

/** `hack x gateway`: tokens and the audit log. They are files, so hackd need not run; it follows them when it does. */
export const gatewayTools: Configure = (command, cli) => {
  const create = command
    .command('token-create')
    .description('create a token; its secret is shown once, on stdout')
    .option('--scope <scope>', 'read: look only; write: run commands as you', 'read')
    .option('--label <text>', 'a note to recognise it by')
    .option('--expires <when>', 'such as 12h, 30d or 2w, or a date (default: never)')
    .option(
      '--project <id>',
      'confine it to a project; may be repeated',
      (id: string, ids: string[]) => [...ids, id],
      [],
    )
    .option('--json', 'print it as JSON')
    .action(options => createOne(options, cli))
  examples(create, [
    ['hack x gateway token-create', 'one that may look'],
    ['hack x gateway token-create --scope write --expires 30d --label laptop', 'one that may run commands for a month'],
    ['TOKEN=$(hack x gateway token-create)', 'for a script'],
  ])
  const list = command
    .command('token-list')
    .description('list the tokens; secrets are stored nowhere')
    .option('--json', 'print them as JSON')
    .action(options => listAll(options, cli))
  examples(list, [['hack x gateway token-list', 'who may come in, and when they last did']])
  const revoke = command
    .command('token-revoke <id>')
    .description('refuse a token from now on; its streams end within a second')
    .option('--json', 'print its record as JSON')
    .action((id, options) => revokeOne(id, options, cli))
  examples(revoke, [['hack x gateway token-revoke 0123456789ab', 'by the id that token-list shows']])
  const rotate = command
    .command('token-rotate <id>')
    .description('give a token a new secret; the old one is refused at once')
    .option('--json', 'print it as JSON')
    .action((id, options) => rotateOne(id, options, cli))
  examples(rotate, [['hack x gateway token-rotate 0123456789ab', 'after the old secret was seen by somebody']])
  const audit = command
    .command('audit-verify')
    .description('check that nothing in the audit log was changed, removed or inserted')
    .option('--json', 'print the result as JSON')
    .action(options => verify(options, cli))
  examples(audit, [['hack x gateway audit-verify', 'exit code 1 when the chain is broken']])
  examples(command, [
    ['hack x gateway token-create --scope write', 'create a token that may run commands'],
    ['hack x gateway token-list', 'list the tokens'],
  ])
}
