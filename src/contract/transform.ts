/**
 * Batch transform: a job of kind 'transform' that sends what lies in objects to a model and writes what it answers to objects. Names and
 * defaults: CreateTransformJob of the service model of SageMaker, 2017-07-24.
 */
import type { Job } from '#contract/job'
import type { JsonRecord } from '#contract/generate'

export interface TransformInput {
  /** `s3://bucket/prefix`, or the manifest that lists the objects. */
  readonly uri: string
  readonly isManifest: boolean
  /** Of each payload; it also says what filters and joins read. */
  readonly contentType: string
  readonly isGzip: boolean
  /** True: a record is a line. False: it is a whole object. */
  readonly isSplit: boolean
}

export interface TransformOutput {
  /** Below it lies one object for each of the input, with `.out` behind its name. */
  readonly uri: string
  readonly accept: string
  /** True: each output of a payload ends with an end of line. */
  readonly endsLines: boolean
}

export interface TransformPace {
  /** Of the records of one payload. A record is never cut. */
  readonly maxPayloadBytes: number
  readonly isMultiRecord: boolean
  readonly maxConcurrent: number
  /** Of one call. */
  readonly timeoutMs: number
  readonly maxRetries: number
}

/** Paths as `base/json-path.ts` reads them; `$` changes nothing. */
export interface TransformFilters {
  readonly input: string
  /** True: the answer is joined to the record that it answers. */
  readonly joinsInput: boolean
  readonly output: string
}

/** The spec of the job: plain data. */
export interface TransformSpec {
  /** One of its team's. */
  readonly name: string
  /** As in `/endpoints/{model}/invocations`. */
  readonly model: string
  readonly input: TransformInput
  readonly output: TransformOutput
  readonly pace: TransformPace
  readonly filters: TransformFilters
  /** As it was sent, to be shown again. */
  readonly request: JsonRecord
}

/** By which a team's job is found. */
export const TRANSFORM_NAME_LABEL = 'transform-job'

/** What filters and joins read. opaque: nothing is read, bytes go in and out. */
export type RecordForm = 'json' | 'csv' | 'opaque'

const FORMS: Readonly<Record<string, RecordForm>> = {
  'application/json': 'json',
  'application/jsonlines': 'json',
  'application/jsonl': 'json',
  'application/x-jsonlines': 'json',
  'text/csv': 'csv',
}

/** A job of kind 'transform' was made from a spec. */
export function transformOf({ spec }: Pick<Job, 'spec'>): TransformSpec {
  return spec as unknown as TransformSpec
}

/** Parameters of the type do not count. */
export function recordFormOf(contentType: string): RecordForm {
  return FORMS[contentType.split(';')[0]?.trim().toLowerCase() ?? ''] ?? 'opaque'
}
