/** The lines of every dialect that has batches. */
import type { BatchFormat } from '#contract/batch'
import { anthropicBatchFormat } from '#server/protocols/anthropic/message-batches/lines'
import { bedrockBatchFormat } from '#server/protocols/bedrock/model-invocation-jobs/lines'
import { openaiBatchFormat } from '#server/protocols/openai/batches/lines'

export const BATCH_FORMATS: readonly BatchFormat[] = [openaiBatchFormat, anthropicBatchFormat, bedrockBatchFormat]
