/** The commands around keys as rows of the command line. */
import { Command, Option } from 'commander'
import { DATA_SETTINGS } from '#config/schema'
import type { KeyKind } from '#platform/keys/key-record'
import { addSettings, dataOf } from './add-settings.ts'
import type { Flags } from './key-terms.ts'

/** Loaded when one of them runs: they open the store. */
const commands = (): Promise<typeof import('./keys.ts')> => import('./keys.ts')

export function addKeyCommands(program: Command): void {
  const keys = program.command('keys').description('make, list and end the keys of callers')
  addCreate(keys)
  withData(keys.command('list').description('all keys, newest first').option('--json', 'as JSON')).action(async (flags: Flags) =>
    (await commands()).listKeys(dataOf(flags), flags['json'] !== undefined),
  )
  withData(keys.command('show').description('one key, without its secret').argument('<id>')).action(async (id: string, flags: Flags) =>
    (await commands()).showKey(dataOf(flags), id),
  )
  withData(keys.command('revoke').description('end a key; running servers know within 5 seconds').argument('<id>')).action(
    async (id: string, flags: Flags) => (await commands()).revokeKey(dataOf(flags), id),
  )
  withData(
    keys
      .command('rotate')
      .description('a new key with the same terms; the old one lives on for a while')
      .argument('<id>')
      .option('--overlap <TIME>', 'how long the old key is good for, as 30m, 24h or 7d (default: 24h)')
      .option('--json', 'as JSON'),
  ).action(async (id: string, flags: Flags) => (await commands()).rotateKey(dataOf(flags), id, flags))
  withData(
    keys
      .command('session')
      .description('temporary AWS credentials that act as a signing key and end with it')
      .argument('<id>')
      .option('--duration <SECONDS>', 'how long they are good for, 900 to 129600 (default: 3600)')
      .option('--json', 'as JSON, as a credential_process of AWS answers'),
  ).action(async (id: string, flags: Flags) => (await commands()).createSession(dataOf(flags), id, flags))
  withData(withLimits(keys.command('limits').description('change what a key may use; without options, show it').argument('<id>'))).action(
    async (id: string, flags: Flags) => (await commands()).limitKey(dataOf(flags), id, flags),
  )
  const teams = program.command('teams').description('limits over all keys of a team')
  withData(withLimits(teams.command('limits').description('change what a team may use').argument('<name>'))).action(
    async (name: string, flags: Flags) => (await commands()).limitTeam(dataOf(flags), name, flags),
  )
  withData(teams.command('list').description('teams that have limits')).action(async (flags: Flags) => (await commands()).listTeams(dataOf(flags)))
  const audit = program.command('audit').description('the log of changes to keys and of refusals')
  withData(audit.command('verify').description('check that no line was changed, removed or added')).action(async (flags: Flags) =>
    (await commands()).verifyAudit(dataOf(flags)),
  )
}

function addCreate(keys: Command): void {
  const command = keys
    .command('create')
    .description('make a key; its secret is printed once')
    .addOption(new Option('--kind <KIND>', 'bearer, or signing for AWS signatures').choices(['bearer', 'signing']).default('bearer'))
    .option('--name <TEXT>', 'what it is for')
    .option('--team <NAME>', 'tenant: caches, stored things and shares are kept apart by it (default: default)')
    .option('--scope <LIST>', 'inference, read, operate, admin; separated by commas (default: inference)')
    .addOption(new Option('--model <NAME...>', 'models that it may call (default: all)').default([]))
    .option('--expires-in <TIME>', 'as 12h or 90d (default: never)')
    .option('--json', 'as JSON')
  withData(withLimits(command)).action(async (flags: Flags & { readonly kind: KeyKind; readonly model: readonly string[] }) =>
    (await commands()).createKey(dataOf(flags), flags.kind, flags),
  )
}

function withLimits(command: Command): Command {
  return command
    .option('--rpm <N>', 'requests a minute, or none')
    .option('--tpm <N>', 'tokens a minute, or none')
    .option('--concurrent <N>', 'requests at a time, or none')
    .option('--budget-usd <AMOUNT>', 'dollars for each period, or none')
    .option('--budget-period <PERIOD>', 'day, month or total (default: month)')
}

function withData(command: Command): Command {
  return addSettings(command, DATA_SETTINGS)
}
