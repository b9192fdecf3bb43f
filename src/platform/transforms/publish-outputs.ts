/** Output objects: one for each sound object of the input, whole or not there, with what was kept of its payloads in their order. */
import type { ObjectStores } from '#contract/objects'
import type { TransformOutput } from '#contract/transform'
import type { JobRecords, RecordOutcome } from '#platform/jobs/job-handler'
import { keptOutput } from './kept-output.ts'
import { FIRST_PAYLOAD_RECORD, type PayloadTally } from './run-payloads.ts'
import type { InputSurvey } from './survey-input.ts'

export interface OutputTarget {
  readonly objects: ObjectStores
  readonly team: string
  readonly output: TransformOutput
  readonly signal: AbortSignal
}

/** How many were published. The same outcomes make the same objects, however often: another attempt writes over what it finds. */
export async function publishOutputs(
  { objects: inputs }: InputSurvey,
  { faults }: Pick<PayloadTally, 'faults'>,
  { kept, target }: { readonly kept: ReturnType<JobRecords['read']>; readonly target: OutputTarget },
): Promise<number> {
  const { objects, team, output, signal } = target
  const { bucket, key } = objects.locate(team, output.uri)
  const folder = key === '' || key.endsWith('/') ? key : `${key}/`
  const source = kept[Symbol.asyncIterator]()
  let next = await source.next()
  async function* outcomesBefore(endRecord: number): AsyncGenerator<RecordOutcome> {
    for (; next.done !== true && next.value.index < endRecord; next = await source.next()) {
      if (next.value.index >= FIRST_PAYLOAD_RECORD) yield next.value
    }
  }
  const options = { contentType: output.accept === ANYTHING ? BYTES : output.accept, maxBytes: Number.MAX_SAFE_INTEGER, ifAbsent: false }
  let numPublished = 0
  try {
    for (const [objectIndex, { name, firstPayload, numPayloads }] of inputs.entries()) {
      const outcomes = outcomesBefore(firstPayload + numPayloads + FIRST_PAYLOAD_RECORD)
      if (faults.has(objectIndex)) {
        const failure = await firstFailure(outcomes)
        if (failure !== null) faults.set(objectIndex, failure)
      } else {
        await bucket.put(`${folder}${name}.out`, outputsOf(outcomes), options, signal)
        numPublished++
      }
    }
    return numPublished
  } finally {
    await source.return?.()
  }
}

async function* outputsOf(outcomes: AsyncIterable<RecordOutcome>): AsyncGenerator<Uint8Array> {
  for await (const { line } of outcomes) yield keptOutput(line)
}

/** Of all of them, which are read to their end; null = none has failed. */
async function firstFailure(outcomes: AsyncIterable<RecordOutcome>): Promise<string | null> {
  let first: string | null = null
  for await (const { isOk, line } of outcomes) if (!isOk) first ??= line
  return first
}

const ANYTHING = '*/*'
const BYTES = 'application/octet-stream'
