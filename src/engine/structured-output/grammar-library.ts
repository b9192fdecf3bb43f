/** From output specifications to loaded grammars: kept ones at once, new ones by the compiler, equal ones that are asked for together only once. */
import type { Clock } from '#base/clock'
import type { LoadedGrammar, TokenVocabulary } from '#engine/grammar/token-matcher'
import { GrammarCache, type GrammarCacheLimits } from './grammar-cache.ts'
import { GrammarCompiler } from './grammar-compiler.ts'
import { keyOf, type OutputSpec } from './output-spec.ts'

export interface GrammarLibraryOptions {
  /** Made at the first use: building it takes some tenths of a second for a large vocabulary. */
  readonly makeVocabulary: () => TokenVocabulary
  readonly clock: Clock
  /** Requests that may wait for their grammars to be compiled. */
  readonly maxJobs: number
  readonly cacheLimits?: GrammarCacheLimits
}

const DEFAULT_CACHE_LIMITS: GrammarCacheLimits = { maxTenantBytes: 32 * 2 ** 20, maxTotalBytes: 128 * 2 ** 20 }
/** Behind the load of a model, whose first requests come first. */
const WARM_AFTER_MS = 1500
const MAX_COMPILE_MS = 900
const MAX_WAIT_MS = 10_000
const MAX_START_MS = 30_000
const MAX_QUEUED_LENGTH = 64 * 2 ** 20
const MAX_COMPILE_HEAP_MB = 160

export interface GrammarStats {
  readonly numGrammars: number
  readonly grammarBytes: number
  readonly numGrammarHits: number
  readonly numGrammarMisses: number
}

interface Pending {
  readonly grammar: Promise<LoadedGrammar>
  readonly controller: AbortController
  numWaiting: number
}

export class GrammarLibrary {
  private readonly cache: GrammarCache
  private readonly compiler: GrammarCompiler
  private readonly makeVocabulary: () => TokenVocabulary
  private readonly clock: Clock
  private readonly closing = new AbortController()
  private vocabulary: TokenVocabulary | null = null
  /** By tenant and key. */
  private readonly pending = new Map<string, Pending>()

  constructor({ makeVocabulary, clock, maxJobs, cacheLimits = DEFAULT_CACHE_LIMITS }: GrammarLibraryOptions) {
    this.makeVocabulary = makeVocabulary
    this.clock = clock
    this.cache = new GrammarCache(cacheLimits)
    this.compiler = new GrammarCompiler({
      maxCompileMs: MAX_COMPILE_MS,
      maxWaitMs: MAX_WAIT_MS,
      maxStartMs: MAX_START_MS,
      maxJobs,
      maxQueuedLength: MAX_QUEUED_LENGTH,
      maxHeapMb: MAX_COMPILE_HEAP_MB,
      clock,
    })
  }

  /** Loads the compiler's code after a while, so that neither the model's start nor the first grammar waits for it. */
  async warmLater(): Promise<void> {
    try {
      await this.clock.sleep(WARM_AFTER_MS, this.closing.signal)
      this.compiler.warm()
    } catch {
      // Closed before.
    }
  }

  stats(): GrammarStats {
    const { numGrammars, bytes, numHits, numMisses } = this.cache.stats()
    return { numGrammars, grammarBytes: bytes, numGrammarHits: numHits, numGrammarMisses: numMisses }
  }

  /** The grammar when it is kept. */
  find(tenant: string, spec: OutputSpec): LoadedGrammar | null {
    return this.cache.find(tenant, keyOf(spec))
  }

  /** Compiles and keeps a grammar that find() did not have. Rejects like GrammarCompiler.compile. */
  async load(tenant: string, spec: OutputSpec, signal: AbortSignal): Promise<LoadedGrammar> {
    signal.throwIfAborted()
    const key = keyOf(spec)
    const pendingKey = JSON.stringify([tenant, key])
    const pending = this.pending.get(pendingKey) ?? this.start({ tenant, key, pendingKey }, spec)
    pending.numWaiting += 1
    const leave = (): void => {
      pending.numWaiting -= 1
      if (pending.numWaiting === 0) pending.controller.abort(signal.reason)
    }
    signal.addEventListener('abort', leave, { once: true })
    try {
      const grammar = await pending.grammar
      signal.throwIfAborted()
      return grammar
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }

  close(): Promise<void> {
    this.closing.abort()
    return this.compiler.close()
  }

  private start(place: { readonly tenant: string; readonly key: string; readonly pendingKey: string }, spec: OutputSpec): Pending {
    const controller = new AbortController()
    const grammar = this.compile(place, spec, controller.signal)
    const pending: Pending = { grammar, controller, numWaiting: 0 }
    this.pending.set(place.pendingKey, pending)
    return pending
  }

  private async compile(
    { tenant, key, pendingKey }: { readonly tenant: string; readonly key: string; readonly pendingKey: string },
    spec: OutputSpec,
    signal: AbortSignal,
  ): Promise<LoadedGrammar> {
    // Left at once when nobody waits any more, so that a newcomer does not join what was given up.
    signal.addEventListener('abort', () => this.pending.delete(pendingKey), { once: true })
    try {
      const automaton = await this.compiler.compile(spec, signal)
      this.vocabulary ??= this.makeVocabulary()
      const grammar = this.vocabulary.load(automaton)
      this.cache.add(tenant, key, grammar)
      return grammar
    } finally {
      if (!signal.aborted) this.pending.delete(pendingKey)
    }
  }
}
