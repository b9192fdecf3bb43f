/** The online path of embeddings: one answer, no events. */
import type { OnlineEmbedCall } from '#contract/call'
import type { EmbedResult } from '#contract/generate'

/** Throws InferdError; rejects with the signal's reason when it aborts. */
export type EmbedHandler = (call: OnlineEmbedCall, signal: AbortSignal) => Promise<EmbedResult>
