/** The commands that bring a server to what a document says. */
import type { Command } from 'commander'
import { int } from '#config/setting'

const DEFAULT_URL = 'http://127.0.0.1:8484'

interface Flags {
  readonly url: string
  readonly key?: string
  readonly file: string
  readonly prune?: true
  readonly wait: string
  readonly json?: true
}

export function addDeploymentCommands(program: Command, signal: AbortSignal): void {
  const withServer = (command: Command): Command =>
    command
      .option('--url <URL>', 'the server', DEFAULT_URL)
      .option('--key <KEY>', 'key for the server; its scope must be operate, and read for status')
  const withFile = (command: Command): Command =>
    withServer(command)
      .option('-f, --file <FILE>', 'the document', 'inferd.yaml')
      .option('--prune', 'delete endpoints that an earlier document made and this one does not name')
  withFile(program.command('apply').description('bring a server to what a document of models and endpoints says'))
    .option('--wait <SECONDS>', 'how long to wait for the endpoints; 0 = not at all', '600')
    .action(async (flags: Flags) => (await import('./apply.ts')).apply(argumentsOf(flags), signal))
  withFile(program.command('diff').description('show what apply would change; ends with 2 when there is something')).action(async (flags: Flags) =>
    (await import('./apply.ts')).diff(argumentsOf({ ...flags, wait: '0' }), signal),
  )
  withServer(program.command('status').description('show the endpoints of a server'))
    .option('--json', 'as JSON')
    .action(async ({ url, key, json }: Flags) =>
      (await import('./deployment-status.ts')).deploymentStatus({ url, key: key ?? null, json: json === true }, signal),
    )
}

function argumentsOf({ url, key, file, prune, wait }: Flags): Parameters<(typeof import('./apply.ts'))['apply']>[0] {
  const waitS = int({ default: 600, min: 0, max: 86_400, doc: '' }).parse(wait, '--wait') ?? 0
  return { url, key: key ?? null, file, prune: prune === true, waitS }
}
