/** `inferd status`: endpoints, their variants, and what is on its way, as a table. */
import { DeploymentClient, type DeployedState, type ServerAddress } from './deployment-client.ts'

export interface StatusArguments extends ServerAddress {
  readonly json: boolean
}

export async function deploymentStatus({ json, ...address }: StatusArguments, signal: AbortSignal): Promise<void> {
  const state = await new DeploymentClient(address, signal).state()
  process.stdout.write(json ? `${JSON.stringify(state, null, 2)}\n` : statusTable(state))
}

const HEAD = ['ENDPOINT', 'STATUS', 'VARIANT', 'MODEL', 'WEIGHT', 'REPLICAS', 'SCALES', 'NOTE']

export function statusTable({ endpoints, scaling }: Pick<DeployedState, 'endpoints' | 'scaling'>): string {
  if (endpoints.length === 0) return 'no endpoints\n'
  const rows = endpoints.flatMap(({ name, status, variants, rollout, problem }) => {
    const note = [
      ...(rollout === null ? [] : [`${rollout.phase} ${rollout.percent}% to ${rollout.toConfig}`]),
      ...(problem === null ? [] : [problem.message]),
    ].join('; ')
    return variants.map((variant, index) => {
      const target = scaling.find((one) => one.endpoint === name && one.variant === variant.name)
      const replicas =
        variant.serverless === null ? `${variant.currentReplicas}/${variant.desiredReplicas}` : variant.currentReplicas === 0 ? 'asleep' : 'up'
      return [
        index === 0 ? name : '',
        index === 0 ? status : '',
        variant.name,
        variant.model,
        variant.isShadow ? `shadow ${variant.currentWeight}%` : String(variant.currentWeight),
        replicas,
        target === undefined ? '' : `${target.minReplicas}-${target.maxReplicas}`,
        index === 0 ? note : '',
      ]
    })
  })
  const lines = [HEAD, ...rows]
  const widths = HEAD.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}
