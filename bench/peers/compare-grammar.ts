/**
 * One stream held to a JSON schema, inferd against node-llama-cpp on one model file: rounds of four runs (ours plain, theirs plain, ours with
 * the grammar, theirs with it), each a fresh process, same schema (people-schema.json: an array that does not end within the output), same
 * number of output tokens, temperature 1 with the round as the seed, no other sampling. Both send the tokens that they choose alike; our forced
 * tokens (those that the grammar leaves no choice about) count as output, and their number is printed.
 * Install the peer first: cd bench/peers && npm install --ignore-scripts --no-package-lock.
 * Arguments: MODEL [NUM_OUTPUT [THREADS [ROUNDS [NUM_PROMPT]]]].
 */
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { type BenchRecord, emit } from '../record.ts'

export interface GrammarSpeed {
  readonly decodeTokensPerS: number
  /** Timed: those after the first text. */
  readonly numTokens: number
  readonly numForced: number
  readonly text: string
}

/** One object of the schema takes 9 tokens and more, and the array has 64. */
const MAX_OUTPUT = 512
const MODES = ['plain', 'grammar'] as const
const SIDES = ['ours', 'peer'] as const
const ROOT = path.resolve(import.meta.dirname, '../..')

type Mode = (typeof MODES)[number]
type Side = (typeof SIDES)[number]

if (import.meta.main) main()

function main(): void {
  const [modelPath, numOutput = '128', threads = '2', rounds = '5', numPrompt = '16'] = process.argv.slice(2)
  if (modelPath === undefined || Number(numOutput) > MAX_OUTPUT)
    throw new Error(`MODEL [NUM_OUTPUT (at most ${MAX_OUTPUT}) THREADS ROUNDS NUM_PROMPT]`)
  const model = path.resolve(modelPath)
  const rates: Record<Side, Record<Mode, number[]>> = { ours: { plain: [], grammar: [] }, peer: { plain: [], grammar: [] } }
  for (let round = 0; round < Number(rounds); round++) {
    for (const mode of MODES) {
      for (const side of SIDES) {
        const speed = runOne(side, [model, numPrompt, numOutput, threads, mode, String(round + 1)])
        checkRun(speed, mode, Number(numOutput))
        rates[side][mode].push(speed.decodeTokensPerS)
        console.log(JSON.stringify({ round, side, mode, ...speed, text: speed.text.slice(0, 80) }))
      }
    }
  }
  report(rates, `${path.basename(model)} ${numPrompt}+${numOutput} tokens, ${threads} threads`)
}

function runOne(side: Side, args: readonly string[]): GrammarSpeed {
  const script = side === 'ours' ? ['--conditions=inferd-source', 'bench/grammar/stream-speed.ts'] : ['llama-cpp-grammar.mjs']
  const cwd = side === 'ours' ? ROOT : import.meta.dirname
  const run = spawnSync(process.execPath, [...script, ...args], { cwd, encoding: 'utf8', maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'inherit'] })
  return JSON.parse(run.stdout.trim().split('\n').at(-1)!)
}

/** Throws where the two sides would not have done the same work. */
function checkRun({ numTokens, text }: GrammarSpeed, mode: Mode, numOutput: number): void {
  if (numTokens > numOutput || numTokens < numOutput - 2) throw new Error(`${numTokens} tokens instead of ${numOutput}`)
  if (mode === 'grammar' && !/^\s*\[\s*\{\s*"name"/.test(text)) throw new Error(`no array of people: ${text.slice(0, 200)}`)
}

function report(rates: Record<Side, Record<Mode, number[]>>, label: string): void {
  const ratiosOf = (above: readonly number[], below: readonly number[]): number[] => above.map((value, index) => value / below[index]!)
  const record = (metric: string, unit: string, mine: readonly number[], theirs: readonly number[]): BenchRecord => ({
    suite: 'peers-grammar',
    case: label,
    metric,
    unit,
    value: median(mine),
    spread: Math.max(...mine) / Math.min(...mine),
    peer: 'node-llama-cpp',
    peerValue: median(theirs),
    ratio: median(ratiosOf(mine, theirs)),
  })
  const { ours, peer } = rates
  emit(record('decode without a grammar', 'tokens/s', ours.plain, peer.plain))
  emit(record('decode with the grammar', 'tokens/s', ours.grammar, peer.grammar))
  emit(record('with the grammar / without', '', ratiosOf(ours.grammar, ours.plain), ratiosOf(peer.grammar, peer.plain)))
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}
