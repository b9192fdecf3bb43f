/**
 * Times of xgrammar (WASM) on the schema on standard input, processor time; run by compile-times.ts in a process of its own. Prints one JSON line
 * per figure, so that the first is there when the second aborts. The vocabulary is made up, of a size that models have.
 */
import { readFileSync } from 'node:fs'
import type * as XGrammarLibrary from '@mlc-ai/web-xgrammar'
import { SeededRandom } from '#base/random'
import { loadXGrammar } from '../../tests/parity/xgrammar-oracle.ts'

/** Milliseconds of processor time. */
export interface XGrammarTimes {
  readonly grammarMs: number
  readonly compiledMs: number
}

const NUM_GRAMMAR_RUNS = 20
const VOCAB_SIZE = 131_072

const schema = readFileSync(0, 'utf8')
const { Grammar, GrammarCompiler, TokenizerInfo } = loadXGrammar() as typeof XGrammarLibrary

const grammarMs = await processorMs(NUM_GRAMMAR_RUNS, () => Grammar.fromJSONSchema(schema))
console.log(JSON.stringify({ grammarMs } satisfies Partial<XGrammarTimes>))

const tokens = makeTokens()
const tokenizer = await TokenizerInfo.createTokenizerInfo(tokens, 'raw', false, tokens.length, 0)
const compiler = await GrammarCompiler.createGrammarCompiler(tokenizer, false)
const compiledMs = await processorMs(1, () => compiler.compileJSONSchema(schema))
console.log(JSON.stringify({ compiledMs } satisfies Partial<XGrammarTimes>))

/** Mean of the runs; the first of many is a warm-up. */
async function processorMs(numRuns: number, work: () => Promise<{ dispose(): void }>): Promise<number> {
  if (numRuns > 1) (await work()).dispose()
  const start = process.cpuUsage()
  for (let run = 0; run < numRuns; run++) (await work()).dispose()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000 / numRuns
}

/** An end token, ASCII, JSON's pieces, and words with and without a space before them. */
function makeTokens(): string[] {
  const random = new SeededRandom(5)
  const letters = 'etaoinshrdlucmfwypvbgkjqxz'
  const pieces = ['":', '",', '"}', '": "', '","', '"],', '{"', '[{"', '},', '[]', '":{"', '":[']
  const tokens = new Set(['</s>', ...Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index)), '\n', '\t', ...pieces])
  for (let number = 10; number < 1_000; number++) tokens.add(String(number))
  while (tokens.size < VOCAB_SIZE) {
    const length = 2 + random.nextInt(5) + random.nextInt(6)
    const word = Array.from({ length }, () => letters[Math.min(random.nextInt(26), random.nextInt(26))]).join('')
    tokens.add(random.nextInt(3) === 0 ? word : ` ${word}`)
  }
  return [...tokens]
}
