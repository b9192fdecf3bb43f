/** Starts a generation as soon as the grammar of its output is there: at once when it is kept, after its compilation otherwise. */
import { InferdError } from '#contract/errors'
import type { LoadedGrammar } from '#engine/grammar/token-matcher'
import type { GrammarLibrary } from '#engine/structured-output/grammar-library'
import type { OutputSpec } from '#engine/structured-output/output-spec'
import type { Generation } from './generation.ts'

const NO_USAGE = { promptTokens: 0, cachedTokens: 0, completionTokens: 0 }

export interface GrammarStart {
  readonly generation: Generation
  readonly grammars: GrammarLibrary
  readonly spec: OutputSpec
  /** Whose cache the grammar is looked for in. */
  readonly tenant: string
  /** Puts the request into the core's queue; throws the InferdError of its refusal. */
  readonly submit: (grammar: LoadedGrammar) => void
}

/** Throws what `submit` throws when the grammar is kept; later refusals end the generation with their error. */
export function startWithGrammar(start: GrammarStart): void {
  const grammar = start.grammars.find(start.tenant, start.spec)
  if (grammar === null) void submitLater(start)
  else start.submit(grammar)
}

async function submitLater({ generation, grammars, spec, tenant, submit }: GrammarStart): Promise<void> {
  try {
    const grammar = await grammars.load(tenant, spec, generation.aborted)
    submit(grammar)
  } catch (error) {
    // After an abort nobody listens: the generation passes nothing on.
    generation.onError(
      error instanceof InferdError ? error : new InferdError('internal', 'the request could not be started', { cause: error }),
      NO_USAGE,
    )
  }
}
