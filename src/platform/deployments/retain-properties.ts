/** What variants of an endpoint take along into its next configuration. */
import type { RetainedProperties } from '#contract/deployment'
import type { Generation, PlacedVariant } from './endpoint-document.ts'

/** Who says nothing keeps what scaling has reached: the counts of the configuration are from before. */
const SCALED_ONLY: RetainedProperties = { replicas: 'scaled', weight: false, capture: false }

export interface RetainedFrom {
  readonly serving: Generation
  /** Absent: what scaling has reached. */
  readonly retained: RetainedProperties | undefined
  /** Whether a scaling target is registered for the variant. */
  isScaled(variant: string): boolean
}

/** Of variants of the same name in both; a serverless one has no number of replicas to take or to give. Shadows begin anew. */
export function retainProperties(next: Generation, { serving, retained = SCALED_ONLY, isScaled }: RetainedFrom): Generation {
  const { capture: ownCapture, ...placed } = next
  const capture = retained.capture ? serving.capture : ownCapture
  return { ...placed, variants: next.variants.map(keep), ...(capture === undefined ? {} : { capture }) }

  function keep(variant: PlacedVariant): PlacedVariant {
    const before = serving.variants.find(({ spec }) => spec.name === variant.spec.name)
    if (before === undefined) return variant
    const hasCount = before.spec.serverless === null && variant.spec.serverless === null
    const keepsCount = hasCount && (retained.replicas === 'all' || (retained.replicas === 'scaled' && isScaled(variant.spec.name)))
    return { ...variant, weight: retained.weight ? before.weight : variant.weight, replicas: keepsCount ? before.replicas : variant.replicas }
  }
}
