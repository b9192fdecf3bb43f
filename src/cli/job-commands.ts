/** The commands around jobs as rows of the command line. */
import { Command, Option } from 'commander'
import { DATA_SETTINGS } from '#config/schema'
import type { JobKind } from '#contract/job'
import { addSettings, dataOf } from './add-settings.ts'

interface JobFlags {
  readonly team: string
  readonly kind?: JobKind
  readonly json?: true
}

/** Loaded when one of them runs: they open the store. */
const commands = (): Promise<typeof import('./jobs.ts')> => import('./jobs.ts')

export function addJobCommands(program: Command, signal: AbortSignal): void {
  const jobs = program.command('jobs').description('batches, transforms and asynchronous invocations, beside a running server or without one')
  ofTeam(jobs.command('list').description('the newest jobs'))
    .addOption(new Option('--kind <KIND>', 'only these').choices(['async', 'batch', 'transform']))
    .option('--json', 'as JSON')
    .action(async (flags: JobFlags) =>
      (await commands()).listJobs(dataOf(flags), { team: flags.team, kind: flags.kind ?? null, json: flags.json === true }),
    )
  ofTeam(
    jobs.command('watch').description('show the progress of a job until it has ended').argument('<job>', 'its id, or the name of a transform'),
  ).action(async (job: string, flags: JobFlags) => (await commands()).watchJob(dataOf(flags), { team: flags.team, job }, signal))
  ofTeam(jobs.command('cancel').description('take a job back').argument('<job>', 'its id, or the name of a transform')).action(
    async (job: string, flags: JobFlags) => (await commands()).cancelJob(dataOf(flags), { team: flags.team, job }),
  )
}

function ofTeam(command: Command): Command {
  return addSettings(command.option('--team <NAME>', 'whose jobs; local is who needs no key', 'local'), DATA_SETTINGS)
}
