/** What is wrong with the input of a job: it ends what it is in, and no other attempt heals it. */
import { type ErrorCode, InferdError } from '#contract/errors'

/** Codes of what a bucket, a filter or an object refuses for good. */
const FAULTS: readonly ErrorCode[] = ['invalid_parameter', 'resource_not_found', 'payload_too_large', 'conflict']

/** As SageMaker begins it. */
export function faulty(words: string, cause?: unknown): InferdError {
  return new InferdError('invalid_parameter', `ClientError: ${words}`, { cause })
}

/** The words of it; null = it is none: another attempt may heal it. */
export function faultOf(error: unknown): string | null {
  if (!(error instanceof InferdError) || !FAULTS.includes(error.code)) return null
  return error.message.startsWith('ClientError: ') ? error.message : `ClientError: ${error.message}`
}
