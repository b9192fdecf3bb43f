/** `inferd plan`: which way of buying each model is the cheapest for the traffic that it had. */
import { readPlatformFile } from '#config/platform-file'
import type { DataConfig } from '#config/schema'
import { systemClock } from '#base/clock'
import { InferdError } from '#contract/errors'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { PriceTable } from '#platform/metering/price-table'
import { modePlanner } from '#platform/planning/mode-planner'
import { encodePlans, readPlanQuery } from '#server/protocols/management/plan-query'
import { askReport } from './ask-report.ts'
import { openDataDir } from './data-dir.ts'
import { openDataStore } from './open-data-store.ts'
import { planText, type WirePlan } from './plan-text.ts'

export interface PlanArguments {
  readonly data: DataConfig
  /** The platform file with the prices. Used when no server is named. */
  readonly config: string | null
  /** null = the data directory of this machine. */
  readonly url: string | null
  readonly key: string | null
  readonly model: string | null
  readonly from: string | null
  readonly to: string | null
  readonly json: boolean
}

interface PlanReport {
  readonly data: readonly WirePlan[]
}

/** Throws InferdError. */
export async function plan(args: PlanArguments, signal: AbortSignal): Promise<void> {
  const { model, from, to } = args
  const query = new URLSearchParams({
    ...(model === null ? {} : { model }),
    ...(from === null ? {} : { from }),
    ...(to === null ? {} : { to }),
  })
  const report =
    args.url === null
      ? await fromStore(args, query)
      : await askReport<PlanReport>({ url: args.url, key: args.key, path: '/inferd/v1/plan', query }, signal)
  process.stdout.write(args.json ? `${JSON.stringify(report, null, 2)}\n` : planText(report.data))
}

async function fromStore({ data, config }: PlanArguments, query: URLSearchParams): Promise<PlanReport> {
  if (config === null) throw new InferdError('invalid_parameter', 'give the platform file, which has the prices, or a server', { param: '--config' })
  const file = readPlatformFile(config)
  const store = await openDataStore(data, openDataDir(data.dataDir))
  try {
    const flush = async (): Promise<void> => {}
    const planner = modePlanner({ store, prices: new PriceTable(file.prices), provisioned: file.provisioned, flush, clock: systemClock })
    return encodePlans(await planner.plans(readPlanQuery(query, LOCAL_PRINCIPAL))) as unknown as PlanReport
  } finally {
    await store.close()
  }
}
