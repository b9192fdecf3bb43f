/**
 * Batches of calls: jobs of kind 'batch', in the words of three dialects. A dialect orders one by a plan and gives the form of its lines;
 * the platform reads, runs and publishes them. Records count from 0 in the order of the input.
 */
import type { Job, JobCounts, WireAnswer } from '#contract/job'
import type { JsonRecord } from '#contract/generate'

export type BatchDialect = 'openai' | 'anthropic' | 'bedrock'

/** An object as it was when the batch was accepted: other contents are not what was ordered. */
export interface BatchObject {
  readonly uri: string
  readonly etag: string
  /** Of what comes of it, without `.out`: its path below what was ordered. */
  readonly name: string
}

export type BatchInput = { readonly kind: 'file'; readonly fileId: string } | { readonly kind: 'objects'; readonly objects: readonly BatchObject[] }

/** files: of the team, under the Files API. objects: one for each of the input, with `.out` behind its name, below `uri`. */
export type BatchOutput = { readonly kind: 'files'; readonly expiresAfterS: number | null } | { readonly kind: 'objects'; readonly uri: string }

/** The spec of the job: plain data. */
export interface BatchPlan {
  readonly dialect: BatchDialect
  /** Path of the dialect's route to which each record is sent. */
  readonly endpoint: string
  readonly input: BatchInput
  readonly output: BatchOutput
  /** Of an input whose records were checked at acceptance; null = they are checked before any of them runs. */
  readonly numRecords: number | null
  /** In the dialect's own words, to be shown again. */
  readonly terms: JsonRecord
}

/** What is wrong with the input as a whole; the words are those of OpenAI's `errors.data`. */
export interface BatchFault {
  readonly code: string
  readonly message: string
  readonly param: string | null
  /** From 1; null = of the whole input. */
  readonly line: number | null
}

export interface BatchUsage {
  readonly inputTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
  readonly reasoningTokens: number
}

/** The result of the job. */
export interface BatchResult {
  /** Exact; with those that were never run, they add up to the total. */
  readonly counts: JobCounts
  readonly usage: BatchUsage
  readonly faults: readonly BatchFault[]
  /** null = there are no such lines, or the output is objects. */
  readonly outputFileId: string | null
  readonly errorFileId: string | null
  /** Epoch milliseconds; null = it was not finished by its own run. */
  readonly finalizingMs: number | null
}

/** One line that is not blank; `number` counts all lines from 1. */
export type InputLine =
  | { readonly kind: 'text'; readonly number: number; readonly text: string }
  | { readonly kind: 'unreadable'; readonly number: number; readonly problem: 'too-long' | 'not-utf8' }

export interface BatchCall {
  readonly kind: 'call'
  readonly customId: string
  /** JSON, as it is sent. */
  readonly body: string
}

/** What one line asks for. */
export type BatchRecord =
  | BatchCall
  /** It is answered with this line of the output, and never run. */
  | { readonly kind: 'refused'; readonly customId: string; readonly line: string }
  /** It spoils the whole input. */
  | { readonly kind: 'fault'; readonly fault: BatchFault }

/** Why records of an ended batch were never answered. */
export type UnfinishedReason = 'cancelled' | 'expired' | 'failed'

export interface RecordPlace {
  readonly jobId: string
  readonly index: number
}

/** The lines of a dialect. Pure, and the same for the same arguments, so that another attempt writes what the first one would have. */
export interface BatchFormat {
  readonly dialect: BatchDialect
  readonly maxRecords: number
  /** Two records with one custom id spoil the input. */
  readonly hasUniqueIds: boolean
  /** Failed records are lines of a file of their own. */
  readonly hasErrorFile: boolean
  /** Of each call. */
  readonly headers: Readonly<Record<string, string>>
  readRecord(line: InputLine, plan: BatchPlan, place: RecordPlace): BatchRecord
  encodeAnswer(call: BatchCall, answer: WireAnswer, place: RecordPlace): BatchLine
  encodeTimeout(call: BatchCall, place: RecordPlace): string
  /** Of a record that was never answered; null = it has no line. */
  encodeUnfinished(record: Exclude<BatchRecord, { readonly kind: 'fault' }>, reason: UnfinishedReason, place: RecordPlace): string | null
  /** Of a line of a record that succeeded. */
  readUsage(line: string): BatchUsage
}

export interface BatchLine {
  readonly isOk: boolean
  /** Without its end of line. */
  readonly line: string
}

export const NO_BATCH_USAGE: BatchUsage = { inputTokens: 0, cachedTokens: 0, outputTokens: 0, reasoningTokens: 0 }

/** A job of kind 'batch' was made from a plan. */
export function planOf({ spec }: Pick<Job, 'spec'>): BatchPlan {
  return spec as unknown as BatchPlan
}

/** null = it has not ended. */
export function resultOf({ result }: Pick<Job, 'result'>): BatchResult | null {
  return result as BatchResult | null
}
