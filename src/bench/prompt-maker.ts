/** Prompts of wanted lengths: random words for servers whose tokenizer is unknown, random token ids where they are accepted. */
import { SeededRandom, type Random } from '#base/random'

/** Both ends included. */
export interface TokenRange {
  readonly min: number
  readonly max: number
}

export interface PromptShape {
  /** Behind the prefix. */
  readonly promptTokens: TokenRange
  readonly outputTokens: TokenRange
  /** The same at the beginning of every prompt; 0 = nothing is shared. */
  readonly prefixTokens: number
}

/** What the server's tokenizer makes of our words: tokens = overhead + words x tokensPerWord. */
export interface WordScale {
  readonly tokensPerWord: number
  readonly overheadTokens: number
}

export type PromptSource =
  | { readonly kind: 'words'; readonly scale: WordScale }
  /** Ids drawn from this range: lengths are exact. */
  | { readonly kind: 'ids'; readonly range: TokenRange }

export interface SizedPrompt {
  readonly prompt: string | readonly number[]
  readonly maxTokens: number
}

/** Where nobody tells how many tokens a prompt has. */
export const ONE_TOKEN_A_WORD: WordScale = { tokensPerWord: 1, overheadTokens: 0 }

/** Frequent enough to be one token each in most vocabularies. */
const WORDS = (
  'time year people way day man thing woman life child world school state family student group country problem hand part place case week company ' +
  'system program question work government number night point home water room mother area money story fact month lot right study book eye job ' +
  'word business issue side kind head house friend father power hour game line end member law car city community name president team minute idea'
).split(' ')
const PREFIX_STREAM = 0x5eed

/** The same seed makes the same prompts, each from its index alone, so that the order of asking changes nothing. */
export class PromptMaker {
  private readonly shape: PromptShape
  private readonly source: PromptSource
  private readonly seed: number
  private readonly prefix: readonly (string | number)[]

  constructor({ shape, source, seed }: { readonly shape: PromptShape; readonly source: PromptSource; readonly seed: number }) {
    this.shape = shape
    this.source = source
    this.seed = seed
    this.prefix = this.draw(new SeededRandom(mix(seed, PREFIX_STREAM)), this.numUnits(shape.prefixTokens, 0))
  }

  at(index: number): SizedPrompt {
    const { promptTokens, outputTokens, prefixTokens } = this.shape
    const random = new SeededRandom(mix(this.seed, PREFIX_STREAM + 1 + index))
    const numTokens = drawIn(promptTokens, random)
    const overhead = this.source.kind === 'words' ? this.source.scale.overheadTokens : 0
    // The template's own tokens count once, for prefix and rest together.
    const numUnits = Math.max(1, this.numUnits(prefixTokens + numTokens, overhead) - this.prefix.length)
    const units = [...this.prefix, ...this.draw(random, numUnits)]
    return { prompt: this.source.kind === 'ids' ? (units as number[]) : units.join(' '), maxTokens: drawIn(outputTokens, random) }
  }

  private numUnits(numTokens: number, overheadTokens: number): number {
    if (this.source.kind === 'ids') return numTokens
    return Math.max(0, Math.round((numTokens - overheadTokens) / this.source.scale.tokensPerWord))
  }

  private draw(random: Random, count: number): (string | number)[] {
    const { source } = this
    return Array.from({ length: count }, () => (source.kind === 'ids' ? drawIn(source.range, random) : WORDS[random.nextInt(WORDS.length)]!))
  }
}

/** From what two prompts of so many words were counted as. */
export function wordScale(
  short: { readonly words: number; readonly tokens: number },
  long: { readonly words: number; readonly tokens: number },
): WordScale {
  const tokensPerWord = (long.tokens - short.tokens) / (long.words - short.words)
  if (!(tokensPerWord > 0)) return ONE_TOKEN_A_WORD
  return { tokensPerWord, overheadTokens: Math.max(0, short.tokens - short.words * tokensPerWord) }
}

function drawIn({ min, max }: TokenRange, random: Random): number {
  return min + random.nextInt(max - min + 1)
}

/** Another seed for each stream of the same seed. */
function mix(seed: number, stream: number): number {
  return (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) + Math.imul(stream, 0xc2b2ae35)) >>> 0
}
