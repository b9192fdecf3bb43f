/** Runs the payloads that have no outcome yet, a bounded number at a time. An object of which one has failed is not gone on with. */
import type { Job } from '#contract/job'
import type { TransformSpec } from '#contract/transform'
import { InFlight } from '#platform/batches/in-flight'
import type { JobLease } from '#platform/jobs/job-handler'
import { type AskPorts, askModel } from './ask-model.ts'
import type { Payload } from './cut-payloads.ts'
import { keepOutput } from './kept-output.ts'
import { bodyOf, outputOf, type RecordRecipe, recipeOf } from './record-recipe.ts'
import { type InputSurvey, readPayloads, type SurveyedObject } from './survey-input.ts'
import { faultOf } from './transform-fault.ts'

/** Index of a kept record: the first is the input's fingerprint. */
export const FIRST_PAYLOAD_RECORD = 1

const SUCCEEDED = 1
const FAILED = 2

export interface PayloadRun {
  readonly job: Job
  readonly spec: TransformSpec
  readonly lease: JobLease
  readonly survey: InputSurvey
  readonly ports: AskPorts
}

/** Of all attempts. */
export interface PayloadTally {
  /** By index of the payload: 0 = it has no outcome, 1 = it has one, 2 = it has failed. */
  readonly done: Uint8Array
  succeeded: number
  failed: number
  /** Why an object has no output, by its place in the survey. Publishing puts the words of its first record that failed there. */
  readonly faults: Map<number, string>
}

/** Resolves when every payload of a sound object has an outcome that is kept. Throws for the lease's signal, and what could not be kept. */
export async function runPayloads(run: PayloadRun): Promise<PayloadTally> {
  const { lease, survey, spec } = run
  const tally = await resume(run)
  const recipe = recipeOf(spec)
  const { maxConcurrent: maxRecords, maxPayloadBytes } = spec.pace
  const flying = new InFlight({ maxRecords, maxBytes: maxRecords * maxPayloadBytes }, lease.signal)
  try {
    for (const [objectIndex, object] of survey.objects.entries()) await runObject(run, { objectIndex, object, recipe, tally, flying })
    await flying.drain()
    return tally
  } catch (error) {
    await flying.cancel(error)
    lease.signal.throwIfAborted()
    throw error
  }
}

interface ObjectRun {
  readonly objectIndex: number
  readonly object: SurveyedObject
  readonly recipe: RecordRecipe
  readonly tally: PayloadTally
  readonly flying: InFlight
}

async function runObject(run: PayloadRun, place: ObjectRun): Promise<void> {
  const { objectIndex, object, tally, flying } = place
  const { firstPayload, numPayloads } = object
  const isFinished = (): boolean => tally.faults.has(objectIndex) || !tally.done.subarray(firstPayload, firstPayload + numPayloads).includes(0)
  if (isFinished()) return
  let index = firstPayload
  try {
    for await (const payload of readPayloads(object, run.spec, flying.signal)) {
      if (tally.faults.has(objectIndex)) return
      const payloadIndex = index++
      if (tally.done[payloadIndex] !== 0) continue
      await flying.start(numBytesOf(payload), (signal) => runPayload(run, place, { payload, payloadIndex, signal }))
    }
  } catch (error) {
    const fault = flying.signal.aborted ? null : faultOf(error)
    if (fault === null) throw error
    tally.faults.set(objectIndex, `${object.uri}: ${fault}`)
  }
}

interface PayloadPlace {
  readonly payload: Payload
  readonly payloadIndex: number
  readonly signal: AbortSignal
}

async function runPayload(run: PayloadRun, place: ObjectRun, { payload, payloadIndex, signal }: PayloadPlace): Promise<void> {
  const { tally, objectIndex, object } = place
  if (tally.faults.has(objectIndex)) return
  const outcome = await outcomeOf(run, place.recipe, { payload, signal })
  const isOk = typeof outcome !== 'string'
  const line = isOk ? keepOutput(outcome) : `${object.uri}: record of line ${payload.firstLine}: ${outcome}`
  await run.lease.records.put({ index: payloadIndex + FIRST_PAYLOAD_RECORD, isOk, line })
  tally.done[payloadIndex] = isOk ? SUCCEEDED : FAILED
  tally[isOk ? 'succeeded' : 'failed']++
  if (!isOk && !tally.faults.has(objectIndex)) tally.faults.set(objectIndex, line)
  note(run, tally)
}

/** Its output, or why it has none. */
async function outcomeOf(
  { job, spec, ports }: PayloadRun,
  recipe: RecordRecipe,
  { payload, signal }: Pick<PayloadPlace, 'payload' | 'signal'>,
): Promise<Uint8Array | string> {
  try {
    const asked = await askModel({ principal: job.principal, spec, body: bodyOf(payload, recipe) }, ports, signal)
    return asked.kind === 'failure' ? asked.reason : outputOf(payload, asked.bytes, recipe)
  } catch (error) {
    signal.throwIfAborted()
    const fault = faultOf(error)
    if (fault === null) throw error
    return fault
  }
}

async function resume(run: PayloadRun): Promise<PayloadTally> {
  const { survey, lease } = run
  const tally: PayloadTally = { done: new Uint8Array(survey.numPayloads), succeeded: 0, failed: 0, faults: new Map() }
  for await (const { index, isOk } of lease.records.finished()) {
    const payloadIndex = index - FIRST_PAYLOAD_RECORD
    if (payloadIndex < 0) continue
    tally.done[payloadIndex] = isOk ? SUCCEEDED : FAILED
    tally[isOk ? 'succeeded' : 'failed']++
  }
  for (const [objectIndex, { fault, firstPayload, numPayloads, uri }] of survey.objects.entries()) {
    const isFailed = tally.done.subarray(firstPayload, firstPayload + numPayloads).includes(FAILED)
    if (fault !== null) tally.faults.set(objectIndex, fault)
    else if (isFailed) tally.faults.set(objectIndex, `${uri}: ClientError: a record of it has failed`)
  }
  note(run, tally)
  return tally
}

function note({ lease, survey }: PayloadRun, { succeeded, failed }: PayloadTally): void {
  lease.note({ total: survey.numPayloads, succeeded, failed })
}

function numBytesOf({ records }: Payload): number {
  return records.reduce((sum, { length }) => sum + length, 0)
}
