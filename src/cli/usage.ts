/** `inferd usage`: the ledger as a table or as JSON, from the data directory of this machine or from a server. */
import type { DataConfig } from '#config/schema'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { usageReports } from '#platform/metering/usage-reports'
import { encodeUsageReport, readUsageQuery } from '#server/protocols/management/usage-query'
import { askReport } from './ask-report.ts'
import { openDataDir } from './data-dir.ts'
import { openDataStore } from './open-data-store.ts'

export interface UsageArguments {
  /** Read when no server is named; beside a running one too. */
  readonly data: DataConfig
  /** null = the data directory of this machine. */
  readonly url: string | null
  /** Sent to the server as a bearer key; null = none. */
  readonly key: string | null
  readonly groupBy: string
  readonly from: string | null
  readonly to: string | null
  readonly json: boolean
}

interface UsageReport {
  readonly data: readonly Readonly<Record<string, string | number>>[]
}

/** Throws InferdError. */
export async function usage(args: UsageArguments, signal: AbortSignal): Promise<void> {
  const query = new URLSearchParams({
    group_by: args.groupBy,
    ...(args.from === null ? {} : { from: args.from }),
    ...(args.to === null ? {} : { to: args.to }),
  })
  const report =
    args.url === null
      ? await fromStore(args.data, query)
      : await askReport<UsageReport>({ url: args.url, key: args.key, path: '/inferd/v1/usage', query }, signal)
  process.stdout.write(args.json ? `${JSON.stringify(report, null, 2)}\n` : table(report))
}

async function fromStore(data: DataConfig, query: URLSearchParams): Promise<UsageReport> {
  const store = await openDataStore(data, openDataDir(data.dataDir))
  try {
    const usageQuery = readUsageQuery(query, LOCAL_PRINCIPAL)
    const totals = await usageReports(store, () => Promise.resolve()).totals(usageQuery.filter, usageQuery.groupBy)
    return encodeUsageReport(totals, usageQuery) as UsageReport
  } finally {
    await store.close()
  }
}

/** Texts to the left, numbers to the right. */
function table({ data }: UsageReport): string {
  const [first] = data
  if (first === undefined) return 'nothing was used\n'
  const columns = Object.keys(first)
  const rows = [columns, ...data.map((row) => columns.map((column) => String(row[column] ?? '')))]
  const widths = columns.map((_, index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)))
  const isNumber = columns.map((column) => typeof first[column] === 'number' || column === 'cost_usd')
  const pad = (cell: string, index: number): string =>
    isNumber[index] === true ? cell.padStart(widths[index] ?? 0) : cell.padEnd(widths[index] ?? 0)
  return rows.map((row) => `${row.map(pad).join('  ').trimEnd()}\n`).join('')
}
