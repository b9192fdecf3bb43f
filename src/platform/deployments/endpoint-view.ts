/** An endpoint as it is shown: its document, and what its units are now. */
import type { Endpoint, EndpointVariant } from '#contract/deployment'
import { type Generation, type PlacedVariant, statusOf, unitName } from './endpoint-document.ts'
import type { EndpointRow } from './endpoint-rows.ts'
import type { Fleet } from './fleet.ts'

export function encodeEndpoint({ name, document, createdMs, modifiedMs }: EndpointRow, fleet: Fleet): Endpoint {
  const { serving, next, rollout, lastPlan, problem } = document
  const shown = serving ?? next
  return {
    name,
    config: shown?.config ?? document.firstConfig ?? '',
    status: statusOf(document),
    problem,
    variants: shown === null ? [] : variantsOf(name, shown, fleet),
    rollout:
      rollout === null || next === null || serving === null
        ? null
        : {
            fromConfig: serving.config,
            toConfig: next.config,
            plan: rollout.plan,
            percent: rollout.percent,
            phase: rollout.phase,
            startedMs: rollout.startedMs,
          },
    lastPlan,
    ...(shown?.capture === undefined ? {} : { capture: shown.capture }),
    createdMs,
    modifiedMs,
  }
}

function variantsOf(endpoint: string, { number, variants, shadows }: Generation, fleet: Fleet): readonly EndpointVariant[] {
  const view = ({ spec, weight, replicas }: PlacedVariant, isShadow: boolean): EndpointVariant => {
    const unit = unitName(endpoint, spec.name, number)
    return {
      name: spec.name,
      model: spec.model,
      unit,
      currentWeight: weight,
      desiredWeight: weight,
      currentReplicas: fleet.find(unit)?.readyReplicas ?? 0,
      desiredReplicas: replicas,
      isShadow,
      serverless: spec.serverless,
    }
  }
  return [...variants.map((placed) => view(placed, false)), ...shadows.map((placed) => view(placed, true))]
}
