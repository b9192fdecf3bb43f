/** The limits that scheduling keeps and the facts of the model that it needs. */
export interface SchedulerOptions {
  /** Prompt and output tokens of one choice never exceed it. */
  readonly contextLength: number
  /** Tokens per KV block. */
  readonly blockSize: number
  readonly numBlocks: number
  /** Rows of one step: prompt chunks and decoded tokens together. At least maxSequences. */
  readonly maxTokensPerStep: number
  /** Prompt tokens of a step in which other sequences decode; bounds inter-token latency. 1..maxTokensPerStep. */
  readonly maxPrefillTokensWithDecodes: number
  /** Choices that run at the same time. */
  readonly maxSequences: number
  /** Logit rows plus hidden rows of one step. At least maxSequences; embeddings advance by what the others leave of it. */
  readonly maxOutputsPerStep: number
  /** Requests that wait for their first admission; one more is refused with `overloaded`. */
  readonly maxWaitingRequests: number
  /** Blocks that must stay free when a sequence is admitted beside running ones, so that admission does not cause preemption at once. */
  readonly admissionWatermarkBlocks: number
  /** A waiting request outweighs a newcomer of one priority level better after so many steps: no starvation. */
  readonly priorityAgingSteps: number
  readonly enablePrefixCache: boolean
  readonly eosTokenIds: readonly number[]
  readonly vocabSize: number
  readonly hiddenSize: number
  /** Digest of weights and everything else that KV content depends on; part of every block hash. */
  readonly modelIdentity: string
}
