/** `inferd status`: endpoints, their variants, what is on its way, and what the machine has left, as a table. */
import { systemClock } from '#base/clock'
import type { ClientConfig } from '#config/schema'
import type { Endpoint, EndpointVariant } from '#contract/deployment'
import { plainText } from './change-text.ts'
import { DeploymentClient, type DeployedState } from './deployment-client.ts'
import { formatBytes } from './progress-bar.ts'

export interface StatusArguments {
  readonly server: ClientConfig
  readonly json: boolean
  readonly watch: boolean
}

const WATCH_MS = 1000
const CLEAR_SCREEN = '\u001b[H\u001b[2J'
const HEAD = ['ENDPOINT', 'STATUS', 'VARIANT', 'MODEL', 'WEIGHT', 'REPLICAS', 'SCALES', 'NOTE']

export async function deploymentStatus({ server, json, watch }: StatusArguments, signal: AbortSignal): Promise<void> {
  const client = new DeploymentClient(server, signal)
  for (let told = ''; ; await systemClock.sleep(WATCH_MS, signal)) {
    const state = await client.state()
    const text = json ? `${JSON.stringify(state, null, watch ? 0 : 2)}\n` : `${statusTable(state)}\n${machineText(await client.metrics())}`
    if (text !== told) process.stdout.write(watch && !json && process.stdout.isTTY ? `${CLEAR_SCREEN}${text}` : text)
    told = text
    if (!watch) return
  }
}

export function statusTable({ endpoints, scaling }: Pick<DeployedState, 'endpoints' | 'scaling'>): string {
  if (endpoints.length === 0) return 'no endpoints\n'
  const rows = endpoints.flatMap((endpoint) =>
    endpoint.variants.map((variant, index) => {
      const target = scaling.find((one) => one.endpoint === endpoint.name && one.variant === variant.name && !variant.isShadow)
      const isFirst = index === 0
      return [
        isFirst ? endpoint.name : '',
        isFirst ? endpoint.status : '',
        variant.name,
        variant.model,
        variant.isShadow ? `shadow ${variant.currentWeight}%` : String(variant.currentWeight),
        replicasText(variant),
        target === undefined ? '' : `${target.minReplicas}-${target.maxReplicas}`,
        isFirst ? noteText(endpoint) : '',
      ]
    }),
  )
  const lines = [HEAD, ...rows]
  const used = HEAD.map((_, column) => rows.some((row) => row[column] !== ''))
  const widths = HEAD.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const lineOf = (line: readonly string[]): string =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .filter((_, column) => used[column])
      .join('  ')
      .trimEnd()
  return lines.map((line) => `${lineOf(line)}\n`).join('')
}

function replicasText({ serverless, currentReplicas, desiredReplicas }: EndpointVariant): string {
  if (serverless === null) return `${currentReplicas}/${desiredReplicas}`
  return currentReplicas === 0 ? 'asleep' : 'up'
}

function noteText({ rollout, problem, capture }: Endpoint): string {
  const way = rollout === null ? [] : [`${rollout.phase} ${rollout.percent}% to ${rollout.toConfig}`]
  const kept = capture?.isEnabled === true ? [`captures ${capture.percent}% to ${plainText(capture.uri)}`] : []
  return [...way, ...kept, ...(problem === null ? [] : [plainText(problem.message)])].join('; ')
}

/** `models: 2 up, 1 asleep; memory: 1.2 GiB of 8.0 GiB; waiting: 3 calls, 12 asynchronous`. */
export function machineText(page: string): string {
  const memory = formatBytes(sumOf(page, 'inferd_model_memory_used_bytes'))
  const budget = sumOf(page, 'inferd_model_memory_budget_bytes')
  const states = [...page.matchAll(/^inferd_models\{state="(\w+)"\} (\d+)$/gm)].filter(([, , count]) => count !== '0')
  const parts = [
    ...(states.length === 0 ? [] : [`models: ${states.map(([, state, count]) => `${count} ${state}`).join(', ')}`]),
    `memory: ${memory}${Number.isFinite(budget) && budget > 0 ? ` of ${formatBytes(budget)}` : ''}`,
    `waiting: ${sumOf(page, 'inferd_queue_requests') + sumOf(page, 'inferd_held_calls')} calls, ${sumOf(page, 'inferd_async_backlog')} asynchronous`,
  ]
  return `${parts.join('; ')}\n`
}

/** Of all labels. */
function sumOf(page: string, metric: string): number {
  const lines = page.split('\n').filter((line) => line.startsWith(metric) && /^(\{.*\})? /.test(line.slice(metric.length)))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1).replace('+Inf', 'Infinity')), 0)
}
