/** The input as it is before any record runs: which objects, how many payloads each, and one word for all of it. */
import { createHash } from 'node:crypto'
import type { TransformSpec } from '#contract/transform'
import { cutPayloads, type Payload } from './cut-payloads.ts'
import type { InputObject } from './input-objects.ts'
import { faultOf, faulty } from './transform-fault.ts'

export interface SurveyedObject extends InputObject {
  /** Index of its first payload, over all of the input. */
  readonly firstPayload: number
  /** 0 when it has a fault. */
  readonly numPayloads: number
  /** Why it has no output; null = it can be read. */
  readonly fault: string | null
}

export interface InputSurvey {
  readonly objects: readonly SurveyedObject[]
  readonly numPayloads: number
  /** Of objects, contents and cuts: equal for every attempt, or the input has changed. */
  readonly fingerprint: string
}

export async function surveyInput(found: readonly InputObject[], spec: TransformSpec, signal: AbortSignal): Promise<InputSurvey> {
  const objects: SurveyedObject[] = []
  const hash = createHash('sha256')
  let firstPayload = 0
  for (const object of found) {
    const { numPayloads, fault } = await countPayloads(object, spec, signal)
    objects.push({ ...object, firstPayload, numPayloads, fault })
    hash.update(JSON.stringify([object.uri, object.etag, numPayloads]))
    firstPayload += numPayloads
  }
  return { objects, numPayloads: firstPayload, fingerprint: hash.digest('hex') }
}

/** Throws invalid_parameter for an object that is not there any more as it was listed. */
export async function* readPayloads(object: InputObject, spec: TransformSpec, signal: AbortSignal): AsyncGenerator<Payload> {
  const meta = await object.bucket.head(object.key, signal)
  if (meta?.etag !== object.etag) throw faulty(`${object.uri} has changed since the job began`)
  yield* cutPayloads(object.bucket.read(object.key, 0, signal), spec, signal)
}

async function countPayloads(object: InputObject, spec: TransformSpec, signal: AbortSignal): Promise<Pick<SurveyedObject, 'numPayloads' | 'fault'>> {
  let numPayloads = 0
  try {
    for await (const _ of readPayloads(object, spec, signal)) numPayloads++
    return { numPayloads, fault: null }
  } catch (error) {
    const fault = faultOf(error)
    if (fault === null) throw error
    return { numPayloads: 0, fault: `${object.uri}: ${fault}` }
  }
}
