/** The commands that bring a server to what a document says. */
import type { Command } from 'commander'
import { readConfig } from '#config/read-config'
import { CLIENT_SETTINGS, type ClientConfig } from '#config/schema'
import { int } from '#config/setting'
import type { ApplyArguments } from './apply.ts'
import { addSettings } from './add-settings.ts'

interface Flags {
  readonly url?: string
  readonly key?: string
  readonly file: string
  readonly prune?: true
  readonly yes?: true
  readonly dryRun?: true
  readonly wait?: string
  readonly json?: true
  readonly watch?: true
  readonly baseline?: string
  readonly from?: string
  readonly to?: string
}

const WAIT_S = int({ default: 600, min: 0, max: 86_400, doc: 'How long to wait, in seconds; 0 = not at all.' })

export function addDeploymentCommands(program: Command, signal: AbortSignal): void {
  const withFile = (command: Command): Command =>
    addSettings(command, CLIENT_SETTINGS)
      .option('-f, --file <FILE>', 'the document', 'inferd.yaml')
      .option('--prune', 'delete endpoints that an earlier document made and this one does not name')
  withFile(program.command('apply').description('bring a server to what a document of models and endpoints says'))
    .option('-y, --yes', 'do not ask')
    .option('--dry-run', 'show what would change, and change nothing')
    .option('--wait <SECONDS>', `${WAIT_S.doc} (default: 600)`)
    .action(async (flags: Flags) => (await import('./apply.ts')).apply(applyArguments(flags), signal))
  withFile(program.command('diff').description('show what apply would change; ends with 2 when there is something')).action(async (flags: Flags) =>
    (await import('./apply.ts')).diff(applyArguments(flags), signal),
  )
  addSettings(program.command('status').description('show the endpoints of a server'), CLIENT_SETTINGS)
    .option('--json', 'as JSON')
    .option('--watch', 'again with each change, until it is interrupted')
    .action(async ({ json, watch, ...flags }: Flags) =>
      (await import('./deployment-status.ts')).deploymentStatus({ server: serverOf(flags), json: json === true, watch: watch === true }, signal),
    )
  addSettings(
    program.command('compare').description('show how the variants of an endpoint did beside each other').argument('<endpoint>'),
    CLIENT_SETTINGS,
  )
    .option('--baseline <VARIANT>', 'compared with it: VARIANT or VARIANT@GENERATION (default: the heaviest, or the generation before)')
    .option('--from <TIME>', 'from this day or moment on, UTC (default: a day ago)')
    .option('--to <TIME>', 'before this day or moment')
    .option('--json', 'as JSON')
    .action(async (endpoint: string, { baseline, from, to, json, ...flags }: Flags) =>
      (await import('./compare.ts')).compare(
        { server: serverOf(flags), endpoint, baseline: baseline ?? null, from: from ?? null, to: to ?? null, json: json === true },
        signal,
      ),
    )
  const remove = program.command('delete').description('delete what is deployed').command('endpoint')
  addSettings(remove.description('delete an endpoint; running calls end first').argument('<name>'), CLIENT_SETTINGS)
    .option('--wait <SECONDS>', `${WAIT_S.doc} (default: 600)`)
    .action(async (name: string, flags: Flags) =>
      (await import('./delete-endpoint.ts')).deleteEndpoint({ server: serverOf(flags), name, waitS: waitOf(flags) }, signal),
    )
}

function applyArguments(flags: Flags): ApplyArguments {
  const { file, prune, yes, dryRun } = flags
  return { server: serverOf(flags), file, prune: prune === true, isSure: yes === true, isDryRun: dryRun === true, waitS: waitOf(flags) }
}

function serverOf({ url, key }: Pick<Flags, 'url' | 'key'>): ClientConfig {
  return readConfig(CLIENT_SETTINGS, { url, key })
}

function waitOf({ wait }: Flags): number {
  return wait === undefined ? WAIT_S.default : WAIT_S.parse(wait, '--wait')
}
