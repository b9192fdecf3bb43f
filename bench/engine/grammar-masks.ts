/**
 * What a token mask costs natively: microseconds of fillMask over random walks of JSON grammars, the first visit of a position's masks
 * apart from later ones, and of building a vocabulary. The vocabulary is made up, with the kinds of tokens that real ones have.
 * Run: npm run bench -- grammar [VOCABULARY] [WALKS]
 */
import { SeededRandom } from '#base/random'
import { systemClock } from '#base/clock'
import type { Automaton } from '#engine/grammar/automaton'
import type { LoadedGrammar } from '#engine/grammar/token-matcher'
import { createNativeVocabulary } from '#engine/kernels/native/native-vocabulary'
import { keep, recordOf } from '../record.ts'
import { jsonAutomaton } from '../../tests/parity/automaton-tables.ts'

const [vocabSize = 131_072, numWalks = 200] = process.argv.slice(2).map(Number)
const WALK_TOKENS = 60

const encoder = new TextEncoder()
const FRAGMENTS = [
  '":',
  '",',
  '"}',
  '": "',
  '","',
  '"],',
  '{"',
  '[{"',
  '"]',
  '},',
  '}}',
  '[]',
  '\\n',
  '\\"',
  '":{"',
  '":[',
  ' {',
  '",\n',
  '"\n',
  '\n\n',
  ');\n',
  '";',
]

/** Words of a Zipf-like spread of lengths, with and without a space, capitals and quotes; numbers, blanks, code fragments, other scripts, bytes. */
function makeVocabulary(random: SeededRandom): Uint8Array[] {
  const tokens = new Set<string>()
  const letters = 'etaoinshrdlucmfwypvbgkjqxz'
  const word = (): string =>
    Array.from({ length: 1 + random.nextInt(5) + random.nextInt(6) }, () => letters[Math.min(random.nextInt(26), random.nextInt(26))]).join('')
  for (let number = 0; number < 1_110; number++)
    tokens.add(number < 10 ? `${number}` : number < 110 ? `${number - 10}`.padStart(2, '0') : `${number - 110}`.padStart(3, '0'))
  for (let width = 1; width < 100; width++) for (const blank of [' ', '\n', '\t', '-', '=', '*']) tokens.add(blank.repeat(width))
  for (const fragment of FRAGMENTS) for (const end of ['', ' ', 'id', 'name', '\n']) tokens.add(fragment + end)
  while (tokens.size < vocabSize - 256) {
    const kind = random.nextInt(100)
    if (kind < 50) tokens.add(` ${word()}`)
    else if (kind < 75) tokens.add(word())
    else if (kind < 82) tokens.add(word().toUpperCase())
    else if (kind < 96)
      tokens.add(
        Array.from({ length: 1 + random.nextInt(4) }, () =>
          String.fromCodePoint((random.nextInt(2) === 0 ? 0x4e00 : 0x400) + random.nextInt(200)),
        ).join(''),
      )
    else if (kind < 98) tokens.add(word() + FRAGMENTS[random.nextInt(FRAGMENTS.length)]!)
    else if (kind < 99) tokens.add(`"${word()}`)
    else tokens.add(String.fromCharCode(33 + random.nextInt(60)).repeat(1 + random.nextInt(2)) + FRAGMENTS[random.nextInt(FRAGMENTS.length)]!)
  }
  const bytes = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte))
  return [...bytes, ...Array.from(tokens, (text) => encoder.encode(text))].slice(0, vocabSize)
}

function report(grammar: string, label: string, samplesUs: number[]): void {
  samplesUs.sort((a, b) => a - b)
  const [median, p99, max] = [0.5, 0.99, 1].map((q) => samplesUs[Math.floor(q * (samplesUs.length - 1))] ?? 0) as [number, number, number]
  const name = `${grammar}, ${label.trim()}`
  for (const [metric, value] of Object.entries({ median, p99, max })) keep(recordOf({ suite: 'grammar', case: name, metric, unit: 'us' }, [value]))
  console.log(`  ${label}: ${samplesUs.length} masks, median ${median.toFixed(1)} us, p99 ${p99.toFixed(1)}, max ${max.toFixed(1)}`)
}

/** Walks of tokens drawn from the mask, half of them written in plain bytes so that structure is common. Times each mask twice: as it comes, and again. */
function measure(name: string, loaded: LoadedGrammar, vocabulary: readonly Uint8Array[]): void {
  const random = new SeededRandom(11)
  const words = new Uint32Array(Math.ceil(vocabulary.length / 32))
  const [earlyUs, lateUs, againUs, acceptUs]: number[][] = [[], [], [], []]
  for (let walk = 0; walk < numWalks; walk++) {
    const matcher = loaded.createMatcher()
    for (const byte of encoder.encode('[{"')) matcher.accept(byte)
    for (let step = 0; step < WALK_TOKENS; step++) {
      for (const samples of [walk < 10 ? earlyUs! : lateUs!, againUs!]) {
        words.fill(0)
        const start = systemClock.nowMs()
        matcher.fillMask(words)
        samples.push((systemClock.nowMs() - start) * 1000)
      }
      const isAllowed = (token: number): boolean => ((words[token >> 5]! >>> (token & 31)) & 1) === 1
      let token = random.nextInt(2) === 0 ? random.nextInt(128) : random.nextInt(vocabulary.length)
      for (let tries = 0; tries < 400 && !isAllowed(token); tries++) token = random.nextInt(tries % 2 === 0 ? 128 : vocabulary.length)
      const start = systemClock.nowMs()
      if (!isAllowed(token) || !matcher.accept(token)) break
      acceptUs!.push((systemClock.nowMs() - start) * 1000)
    }
  }
  console.log(`${name}, ${(loaded.memoryBytes / 1024).toFixed(0)} KiB with cached masks`)
  report(name, 'first ten walks', earlyUs!)
  report(name, 'later walks    ', lateUs!)
  report(name, 'the same again ', againUs!)
  report(name, 'accept         ', acceptUs!)
}

const vocabulary = makeVocabulary(new SeededRandom(5))
const buildMs = Array.from({ length: 5 }, () => {
  const start = systemClock.nowMs()
  createNativeVocabulary(vocabulary)
  return systemClock.nowMs() - start
}).sort((a, b) => a - b)
console.log(`vocabulary of ${vocabulary.length} tokens: built in ${buildMs[2]!.toFixed(0)} ms (median of 5)`)
const native = createNativeVocabulary(vocabulary)

/** The first mask inside of a string, of grammars that have cached nothing. */
function measureFirstStrings(name: string, automaton: Automaton): void {
  const samplesUs = Array.from({ length: 50 }, () => {
    const matcher = native.load(automaton).createMatcher()
    for (const byte of encoder.encode('{"a')) matcher.accept(byte)
    const words = new Uint32Array(Math.ceil(vocabulary.length / 32))
    const start = systemClock.nowMs()
    matcher.fillMask(words)
    return (systemClock.nowMs() - start) * 1000
  })
  console.log(name)
  report(name, 'first string   ', samplesUs)
}

for (const [name, options] of [
  ['JSON', {}],
  ['JSON with blanks', { hasBlanks: true }],
  ['JSON, strings of at most 40 code points', { maxChars: 40 }],
] as const) {
  measureFirstStrings(name, jsonAutomaton(options))
  measure(name, native.load(jsonAutomaton(options)), vocabulary)
}
