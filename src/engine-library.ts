/** The package's entry `inferd/engine`: the engine as a library, in the caller's own process. */
export { generate, type Engine, type EngineOptions, type EngineStats } from '#engine/engine'
export { loadEngine, type LoadHooks } from '#engine/load-engine'
export { InferdError, type ErrorCode } from '#contract/errors'
export type { EmbedRequest, EmbedResult, GenerateEvent, GenerateRequest, ModelFacts, PromptInput, SamplingOptions, Usage } from '#contract/generate'
