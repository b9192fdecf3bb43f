/**
 * Which model an invocation means. Names of endpoints, components and variants are letters, digits and dashes, names of models are not:
 * a model answers to its own name and to that name with everything else turned into dashes.
 */

/** What a request says of where it wants to go, null = nothing. */
export interface EndpointTarget {
  /** null: the container contract has no endpoint. */
  readonly endpoint: string | null
  readonly component: string | null
  /** Of a multi-model endpoint: the path of an artifact. */
  readonly targetModel: string | null
  readonly variant: string | null
  /** The `model` of a body that has one. */
  readonly bodyModel: string | null
}

/** The variant of an endpoint that has only one. */
const ONLY_VARIANT = 'AllTraffic'
const MAX_NAME_LENGTH = 63

/**
 * The most special name counts: variant, component, target model, endpoint, and without an endpoint the body's `model`, then the first
 * model of the server. A name that no model has, or several, is returned as it is: there is no such model.
 */
export function modelOfTarget(target: EndpointTarget, models: readonly string[]): string {
  const deployed = `${target.endpoint}/${target.variant}`
  if (target.variant !== null && models.includes(deployed)) return deployed
  const variant = target.variant === ONLY_VARIANT ? null : target.variant
  const asked = variant ?? target.component ?? artifactName(target.targetModel) ?? target.endpoint ?? target.bodyModel
  if (asked === null) return models[0] ?? ''
  if (models.includes(asked)) return asked
  const [first, second] = models.filter((model) => variantName(model) === asked)
  return first !== undefined && second === undefined ? first : asked
}

/** A model's name as a variant, an endpoint or a component may be called. */
export function variantName(model: string): string {
  return model
    .replace(/[^a-zA-Z0-9]+/g, '-')
    .replace(/^-/, '')
    .slice(0, MAX_NAME_LENGTH)
    .replace(/-$/, '')
}

/** Of the model that answered: a deployed one is `endpoint/variant@generation`. */
export function invokedVariant(model: string): string {
  return /^[^/]+\/([^/@]+)@\d+$/.exec(model)?.[1] ?? variantName(model)
}

function artifactName(targetModel: string | null): string | null {
  return targetModel === null ? null : targetModel.replace(/^\//, '').replace(/\.tar\.gz$/, '')
}
