/** Which model a call goes to first, and why. Pure but for the draw. */
import type { Random } from '#base/random'
import type { GenerateRequest } from '#contract/generate'
import { promptDifficulty } from './prompt-difficulty.ts'
import type { RouteDefinition, RouteVariant } from './route-definition.ts'

export interface RouteDecision {
  readonly model: string
  /** For the operator: 'weight 3/4', 'difficulty 0.12 <= 0.3'. */
  readonly reason: string
  /** Of the prompt; null when it was not measured. */
  readonly difficulty: number | null
}

export function decideRoute(route: RouteDefinition, request: Pick<GenerateRequest, 'input' | 'output'>, random: Random): RouteDecision {
  if (route.byDifficulty.length > 0) return decideByDifficulty(route, request)
  const [only] = route.variants
  if (route.variants.length === 1 && only !== undefined) return { model: only.model, reason: `alias ${route.name}`, difficulty: null }
  return drawVariant(route.variants, random)
}

function decideByDifficulty({ byDifficulty }: RouteDefinition, request: Pick<GenerateRequest, 'input' | 'output'>): RouteDecision {
  const { score } = promptDifficulty(request)
  const step = byDifficulty.find(({ maxDifficulty }) => score <= maxDifficulty) ?? byDifficulty.at(-1)!
  return { model: step.model, reason: `difficulty ${score.toFixed(2)} <= ${step.maxDifficulty}`, difficulty: score }
}

function drawVariant(variants: readonly RouteVariant[], random: Random): RouteDecision {
  const total = variants.reduce((sum, { weight }) => sum + weight, 0)
  let place = random.nextFloat() * total
  for (const { model, weight } of variants) {
    place -= weight
    if (place < 0) return { model, reason: `weight ${weight}/${total}`, difficulty: null }
  }
  const last = variants.findLast(({ weight }) => weight > 0)!
  return { model: last.model, reason: `weight ${last.weight}/${total}`, difficulty: null }
}
