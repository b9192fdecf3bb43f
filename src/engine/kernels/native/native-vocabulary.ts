/** Grammars over one vocabulary, matched natively (native/src/grammar/): the same answers as `grammar/reference-matcher.ts`, quickly. */
import type { Automaton } from '#engine/grammar/automaton'
import type { LoadedGrammar, TokenMatcher, TokenVocabulary } from '#engine/grammar/token-matcher'
import { loadAddon, type NativeGrammarHandle, type NativeVocabularyHandle } from './addon.ts'

/** What the cached masks of one grammar may take, by default. */
const DEFAULT_MAX_CACHE_BYTES = 8 << 20

/** By token id; a token without bytes (special, or padding of the logits) is only taken by token edges. The bytes are copied. */
export function createNativeVocabulary(tokenBytes: readonly Uint8Array[], maxCacheBytes = DEFAULT_MAX_CACHE_BYTES): TokenVocabulary {
  const starts = new Int32Array(tokenBytes.length + 1)
  for (let token = 0; token < tokenBytes.length; token++) starts[token + 1] = starts[token]! + tokenBytes[token]!.length
  const bytes = new Uint8Array(starts[tokenBytes.length]!)
  for (let token = 0; token < tokenBytes.length; token++) bytes.set(tokenBytes[token]!, starts[token]!)
  const { NativeVocabulary } = loadAddon()
  return new Vocabulary(new NativeVocabulary(bytes, starts), tokenBytes.length, maxCacheBytes)
}

class Vocabulary implements TokenVocabulary {
  readonly vocabSize: number
  private readonly handle: NativeVocabularyHandle
  private readonly maxCacheBytes: number

  constructor(handle: NativeVocabularyHandle, vocabSize: number, maxCacheBytes: number) {
    this.handle = handle
    this.vocabSize = vocabSize
    this.maxCacheBytes = maxCacheBytes
  }

  load(automaton: Automaton): LoadedGrammar {
    const { NativeGrammar } = loadAddon()
    return new Grammar(new NativeGrammar(this.handle, automaton, this.maxCacheBytes))
  }
}

class Grammar implements LoadedGrammar {
  private readonly handle: NativeGrammarHandle

  constructor(handle: NativeGrammarHandle) {
    this.handle = handle
  }

  get memoryBytes(): number {
    return this.handle.memoryBytes
  }

  createMatcher(): TokenMatcher {
    const { NativeMatcher } = loadAddon()
    return new NativeMatcher(this.handle)
  }
}
