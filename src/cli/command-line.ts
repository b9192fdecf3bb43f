/** The commands, their arguments and their settings as one table for commander. What a command needs is loaded when it runs. */
import { Command, Option } from 'commander'
import { readConfig } from '#config/read-config'
import { DATA_SETTINGS, ENGINE_SETTINGS, SERVER_SETTINGS } from '#config/schema'
import { int } from '#config/setting'
import { InferdError } from '#contract/errors'
import { addSettings, dataOf } from './add-settings.ts'
import { addBenchCommand } from './bench-command.ts'
import { addDeploymentCommands } from './deployment-commands.ts'
import { addJobCommands } from './job-commands.ts'
import { addKeyCommands } from './key-commands.ts'

type Flags = Readonly<Record<string, string | undefined>>

/** `signal` asks running commands to end in order. */
export function commandLine(version: string, signal: AbortSignal): Command {
  const program = new Command('inferd')
    .description('Run trained models in production.')
    .version(version)
    .showHelpAfterError('(inferd COMMAND --help shows the options)')
  addServe(program, signal, version)
  addRun(program, signal)
  addKeyCommands(program)
  addJobCommands(program, signal)
  addDeploymentCommands(program, signal)
  addUsage(program, signal)
  addPlan(program, signal)
  addBackup(program, signal)
  addBenchCommand(program, signal)
  program
    .command('inspect')
    .description('show what is in a model file')
    .argument('<path>', '.gguf file or model folder')
    .option('--json', 'as JSON')
    .action(async (path: string, flags: { json?: true }) => (await import('./inspect.ts')).inspect(path, flags.json === true))
  program
    .command('quantize')
    .description('write a GGUF model in a smaller format')
    .argument('<source>', '.gguf file with f32, f16 or bf16 weights')
    .argument('<target>', 'file to write')
    .argument('<scheme>', 'q8_0, q4_0, q4_k_m, ...')
    .action(async (source: string, target: string, scheme: string) => (await import('./quantize.ts')).quantize(source, target, scheme, signal))
  return program
}

function addBackup(program: Command, signal: AbortSignal): void {
  const backup = program
    .command('backup')
    .description('copy a data directory, beside its running server or without one; the folder holds secrets')
    .argument('<folder>', 'where to; it must not be there')
  addSettings(backup, DATA_SETTINGS).action(async (folder: string, flags: Flags) =>
    (await import('./backup.ts')).backup(folder, dataOf(flags), signal),
  )
  const restore = program
    .command('restore')
    .description('make a data directory out of a backup, which is checked first')
    .argument('<folder>', 'a backup')
  addSettings(restore, { dataDir: DATA_SETTINGS.dataDir }).action(async (folder: string, flags: Flags) =>
    (await import('./backup.ts')).restore(folder, dataOf(flags), signal),
  )
}

function addUsage(program: Command, signal: AbortSignal): void {
  const command = program
    .command('usage')
    .description('show what was used and what it cost')
    .option('--url <URL>', 'server to ask (default: the ledger of this machine)')
    .option('--key <KEY>', 'key for the server; its scope must be read')
    .option('--group-by <GROUPS>', 'key, team, model, day; separated by commas', 'team,model')
    .option('--from <TIME>', 'from this day or moment on, UTC')
    .option('--to <TIME>', 'before this day or moment')
    .option('--json', 'as JSON')
  addSettings(command, DATA_SETTINGS).action(async ({ url, key, groupBy, from, to, json, ...data }: UsageFlags) =>
    (await import('./usage.ts')).usage(
      {
        data: dataOf(data),
        url: url ?? null,
        key: key ?? null,
        groupBy,
        from: from ?? null,
        to: to ?? null,
        json: json === true,
      },
      signal,
    ),
  )
}

function addPlan(program: Command, signal: AbortSignal): void {
  const command = program
    .command('plan')
    .description('show what on demand, batch, serverless and provisioned would cost for the traffic that was measured')
    .option('--url <URL>', 'server to ask (default: the ledger of this machine)')
    .option('--key <KEY>', 'key for the server; its scope must be read')
    .option('--config <FILE>', 'platform file with the prices, where no server is asked')
    .option('--model <NAME>', 'of this model only')
    .option('--from <TIME>', 'from this day or moment on, UTC (default: seven days ago)')
    .option('--to <TIME>', 'before this day or moment')
    .option('--json', 'as JSON')
  addSettings(command, DATA_SETTINGS).action(async ({ url, key, config, model, from, to, json, ...data }: PlanFlags) =>
    (await import('./plan.ts')).plan(
      {
        data: dataOf(data),
        url: url ?? null,
        key: key ?? null,
        config: config ?? null,
        model: model ?? null,
        from: from ?? null,
        to: to ?? null,
        json: json === true,
      },
      signal,
    ),
  )
}

interface PlanFlags {
  readonly url?: string
  readonly key?: string
  readonly config?: string
  readonly model?: string
  readonly from?: string
  readonly to?: string
  readonly json?: true
}

interface UsageFlags {
  readonly url?: string
  readonly key?: string
  readonly groupBy: string
  readonly from?: string
  readonly to?: string
  readonly json?: true
}

function addServe(program: Command, signal: AbortSignal, version: string): void {
  const command = program
    .command('serve')
    .description('serve models over HTTP')
    .addOption(
      new Option('--model <[NAME=]PATH...>', 'model to serve, a .gguf file or a folder; repeatable (default: the shipped chat model)').default([]),
    )
  addSettings(addSettings(addSettings(command, SERVER_SETTINGS), DATA_SETTINGS), ENGINE_SETTINGS).action(
    async (flags: Flags & { readonly model: readonly string[] }) => {
      const { model, ...settings } = flags
      const config = {
        server: readConfig(SERVER_SETTINGS, settings),
        data: dataOf(settings),
        engine: readConfig(ENGINE_SETTINGS, settings),
      }
      const { serve } = await import('./serve.ts')
      return serve(model, config, signal, version)
    },
  )
}

function addRun(program: Command, signal: AbortSignal): void {
  const command = program
    .command('run')
    .description('answer one prompt on the terminal')
    .argument('<model>', '.gguf file or model folder')
    .argument('[prompt]', 'what to ask; standard input when absent')
    .option('--system <text>', 'system message')
    .option('--raw', 'send the prompt without the chat template')
    .option('--max-tokens <N>', 'longest answer, in tokens')
    .option('--temperature <T>', '0 = always the likeliest token', '0')
    .option('--seed <N>', 'seed of the sampling')
  addSettings(command, ENGINE_SETTINGS).action(async (model: string, prompt: string | undefined, flags: Flags) =>
    (await import('./run.ts')).run(
      {
        model,
        prompt: prompt ?? null,
        system: flags['system'] ?? null,
        raw: flags['raw'] !== undefined,
        maxTokens: optionalInt(flags['maxTokens'], '--max-tokens', 1, 1e9),
        temperature: temperature(flags['temperature'] ?? '0'),
        seed: optionalInt(flags['seed'], '--seed', 0, 2 ** 32 - 1),
      },
      readConfig(ENGINE_SETTINGS, flags),
      signal,
    ),
  )
}

function optionalInt(text: string | undefined, name: string, min: number, max: number): number | null {
  return text === undefined ? null : int({ default: null, min, max, doc: '' }).parse(text, name)
}

function temperature(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && value >= 0 && value <= 2) return value
  throw new InferdError('invalid_parameter', `--temperature must be a number from 0 to 2, not '${text}'`, { param: '--temperature' })
}
