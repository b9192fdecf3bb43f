/** Prompts of token ids that every made model has, the same for all subjects of a round. */
import { SeededRandom } from '#base/random'

/** Above the bytes and control tokens of the made vocabularies. */
const FIRST_ID = 300
const NUM_IDS = 1500

/** No two begin alike: not one block of a prefix cache is shared. */
export function differentPrompts(numPrompts: number, length: number, seed: number): number[][] {
  const random = new SeededRandom(seed)
  const offset = random.nextInt(NUM_IDS)
  return Array.from({ length: numPrompts }, (_, index) => [FIRST_ID + ((offset + index) % NUM_IDS), ...randomIds(random, length - 1)])
}

/** All begin with the same `prefixLength` tokens and go on differently. */
export function promptsWithSharedPrefix(numPrompts: number, prefixLength: number, suffixLength: number, seed: number): number[][] {
  const prefix = randomIds(new SeededRandom(seed), prefixLength)
  return differentPrompts(numPrompts, suffixLength, seed + 1).map((suffix) => [...prefix, ...suffix])
}

function randomIds(random: SeededRandom, length: number): number[] {
  return Array.from({ length }, () => FIRST_ID + random.nextInt(NUM_IDS))
}
