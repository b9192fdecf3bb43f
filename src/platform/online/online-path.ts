/** The online path put together: the stages in their order, and the same around embeddings. */
import type { EmbedResult } from '#contract/generate'
import type { Principal } from '#contract/principal'
import { type Admission } from '#platform/admission/admission'
import { admissionStage, admittedEmbedding } from '#platform/admission/admission-stage'
import type { Metering } from '#platform/metering/metering'
import { meteredEmbedding, meteringStage } from '#platform/metering/metering-stage'
import type { StageMarks } from '#platform/metering/stage-marks'
import type { EmbedHandler } from './embed-handler.ts'
import type { OnlineModels } from './online-models.ts'
import { composeStages, type Stage } from './stage.ts'

export interface NamedStage {
  /** As traces call it. */
  readonly name: string
  readonly stage: Stage
}

export interface OnlinePathParts {
  readonly metering: Metering
  readonly admission: Admission
  /** What the operator has switched on, between admission and routing, outermost first. */
  readonly stages: readonly NamedStage[]
  /** As the last stage of embeddings; null = nothing is judged. */
  readonly guardEmbedding: ((next: EmbedHandler) => EmbedHandler) | null
  readonly routing: OnlineModels
  /** null = nobody traces. */
  readonly marks: StageMarks | null
}

export function onlinePath({ metering, admission, stages, guardEmbedding, routing, marks }: OnlinePathParts): OnlineModels {
  const marked = ({ name, stage }: NamedStage): readonly Stage[] => (marks === null ? [stage] : [marks.before(name), stage])
  const all = [{ name: 'metering', stage: meteringStage(metering) }, { name: 'admission', stage: admissionStage(admission) }, ...stages]
  const generate = composeStages(all.flatMap(marked), (call, signal) => routing.generate(call, signal))
  const toModel: EmbedHandler = (call, signal): Promise<EmbedResult> => routing.embed(call, signal)
  const embed = meteredEmbedding(metering, admittedEmbedding(admission, guardEmbedding === null ? toModel : guardEmbedding(toModel)))
  return {
    list: (principal) => routing.list(principal),
    find: (principal, name) => routing.find(principal, name),
    countTokens: (principal, model, request, signal) => routing.countTokens(principal, model, request, signal),
    generate: (call, signal) => generate({ ...call, request: salted(call.request, call.principal) }, signal),
    embed: (call, signal) => embed({ ...call, request: salted(call.request, call.principal) }, signal),
  }
}

/** A team finds its own prefixes only, whatever salt its callers bring. Who is alone on the machine keeps the caller's. */
function salted<Request extends { readonly cacheSalt: string }>(request: Request, { keyId, team }: Principal): Request {
  return keyId === LOCAL_KEY ? request : { ...request, cacheSalt: `${team.length}:${team}:${request.cacheSalt}` }
}

const LOCAL_KEY = 'local'
