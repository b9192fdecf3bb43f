/**
 * Encoding speed of our tokenizer, cold (a new instance) and warm (the same text again), against @huggingface/tokenizers in the same process.
 * Run: node --conditions=inferd-source bench/kernels/tokenizer.ts [tokenizer.json]
 */
import { readFileSync } from 'node:fs'
import { Tokenizer as PeerTokenizer } from '@huggingface/tokenizers'
import { SeededRandom } from '#base/random'
import { keep, recordOf } from '../record.ts'
import { loadTokenizerFromFolder } from '#engine/tokenizers/load-tokenizer'

const TEXT_BYTES = 1_000_000
const WORDS_PER_SENTENCE = 12
const NUM_WARM_RUNS = 5
const NUM_WORD_FORMS = 12_000
const SYLLABLES = [
  'the',
  'ing',
  'er',
  'con',
  'ter',
  'a',
  're',
  'in',
  'de',
  'pro',
  'st',
  'al',
  'o',
  'un',
  'ver',
  'ly',
  'min',
  'i',
  'cat',
  'ment',
  'so',
  'lu',
  'tion',
  'e',
  'pre',
  'dis',
]

const DEFAULT_TOKENIZERS = ['bpe-qwen2', 'bpe-llama3', 'piece-llama2', 'unigram', 'wordpiece'].map(
  (name) => new URL(`../../tests/fixtures/tokenizers/${name}.json`, import.meta.url).pathname,
)

function main(): void {
  const paths = process.argv.length > 2 ? process.argv.slice(2) : DEFAULT_TOKENIZERS
  const text = makeEnglish(TEXT_BYTES)
  console.log(`${text.length} characters of made English, megabytes a second`)
  for (const path of paths) measure(path, text)
}

function measure(path: string, text: string): void {
  const tokenizerJson: unknown = JSON.parse(readFileSync(path, 'utf8'))
  const load = () => loadTokenizerFromFolder({ tokenizerJson, tokenizerConfig: null })
  const options = { parseSpecial: true, addSpecial: false }
  const coldRates: number[] = []
  let tokenizer = load()
  for (let run = 0; run < NUM_WARM_RUNS; run += 1) {
    tokenizer = load()
    coldRates.push(rate(text, () => tokenizer.encode(text, options)))
  }
  const warmRates = Array.from({ length: NUM_WARM_RUNS }, () => rate(text, () => tokenizer.encode(text, options)))
  const numTokens = tokenizer.encode(text, options).length
  const peer = new PeerTokenizer(tokenizerJson as object, {})
  const peerRate = rate(text, () => peer.encode(text, { add_special_tokens: false }))
  const record = (metric: string, rates: readonly number[]): void =>
    keep({
      ...recordOf({ suite: 'tokenizer', case: path.split('/').at(-1)!, metric, unit: 'MB/s' }, rates),
      peer: '@huggingface/tokenizers',
      peerValue: peerRate,
      ratio: median(rates) / peerRate,
    })
  record('cold', coldRates)
  record('warm', warmRates)
  const first = coldRates[0]!.toFixed(1)
  console.log(
    `${path.split('/').at(-1)}: first ${first}, cold ${median(coldRates).toFixed(1)}, warm ${median(warmRates).toFixed(1)}, @huggingface/tokenizers ${peerRate.toFixed(2)} (${numTokens} tokens)`,
  )
}

function rate(text: string, work: () => unknown): number {
  const startMs = performance.now()
  work()
  return Buffer.byteLength(text) / 1000 / (performance.now() - startMs)
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}

/** Words in a Zipf-like distribution, so that a cache sees repetition as in real prose. */
function makeEnglish(numBytes: number): string {
  const random = new SeededRandom(7)
  const words = Array.from({ length: NUM_WORD_FORMS }, () =>
    Array.from({ length: 1 + random.nextInt(4) }, () => SYLLABLES[random.nextInt(SYLLABLES.length)]!).join(''),
  )
  const parts: string[] = []
  for (let length = 0, index = 0; length < numBytes; index += 1) {
    const rank = Math.floor(NUM_WORD_FORMS ** random.nextFloat()) - 1
    const word = words[rank]!
    const isFirst = index % WORDS_PER_SENTENCE === 0
    parts.push(isFirst ? `${index === 0 ? '' : '. '}${word[0]!.toUpperCase()}${word.slice(1)}` : ` ${word}`)
    length += word.length + 1
  }
  return parts.join('')
}

main()
