/**
 * What compiling a schema costs: from JSON Schema to the automaton, as a request does it (compileOutput), in a warm process; beside xgrammar
 * (WASM), each schema in a process of its own because what it refuses ends it. xgrammar's `grammar` is the schema read, `compiled` is what it
 * needs before its first mask: masks for the states, which ours are computed when first met (suite `grammar`). Arguments: [RUNS [alone]].
 */
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import type { JsonRecord } from '#contract/generate'
import type { OutputSpec } from '#engine/structured-output/output-spec'
import { compileOutput } from '#engine/structured-output/compile-output'
import { TOOL_SCHEMAS } from './tool-schemas.ts'
import type { XGrammarTimes } from './xgrammar-times.ts'
import { keep, recordOf } from '../record.ts'

const NUM_RUNS = Number(process.argv[2] ?? 50)
/** `alone`: without xgrammar, which takes minutes. */
const WITH_PEER = process.argv[3] !== 'alone'
const NUM_TOOLS = 5
const XGRAMMAR_TIMEOUT_MS = 30_000
const AIM_MS = 20
const XGRAMMAR_SCRIPT = path.join(import.meta.dirname, 'xgrammar-times.ts')

interface Times {
  readonly medianMs: number
  readonly p95Ms: number
  /** Processor time of one run, all threads, on average. */
  readonly cpuMs: number
  readonly numStates: number
}

const specs: (readonly [name: string, spec: OutputSpec, schema: JsonRecord | null])[] = TOOL_SCHEMAS.map(([name, schema]) => [
  name,
  outputOf(schema),
  schema,
])
specs.push([`the first ${NUM_TOOLS} as tools (hermes)`, toolsOutput(), null])

for (const [, spec] of specs) compileOutput(spec)
console.log('| schema | median ms | p95 | processor | states | xgrammar: grammar | xgrammar: compiled |\n|---|---|---|---|---|---|---|')
const slow: string[] = []
for (const [name, spec, schema] of specs) {
  const times = timesOf(spec)
  if (times.cpuMs > AIM_MS) slow.push(`${name} (${times.cpuMs.toFixed(1)} ms)`)
  for (const [metric, unit, value] of [
    ['median', 'ms', times.medianMs],
    ['p95', 'ms', times.p95Ms],
    ['processor time', 'ms', times.cpuMs],
    ['states', '', times.numStates],
  ] as const)
    keep(recordOf({ suite: 'grammar-compile', case: name, metric, unit }, [value]))
  const ours = [times.medianMs, times.p95Ms, times.cpuMs].map((ms) => ms.toFixed(2))
  console.log(`| ${[name, ...ours, times.numStates, ...(schema === null || !WITH_PEER ? ['', ''] : xgrammarCells(schema))].join(' | ')} |`)
}
console.log(`\nAbove ${AIM_MS} ms of processor time: ${slow.length === 0 ? 'none' : slow.join(', ')}`)

function outputOf(schema: JsonRecord): OutputSpec {
  return { format: { kind: 'json-schema', schema, whitespace: 'flexible' }, tools: null, reasoning: null }
}

function toolsOutput(): OutputSpec {
  const definitions = TOOL_SCHEMAS.slice(0, NUM_TOOLS).map(([name, parameters]) => ({
    name: name.replaceAll(/[^A-Za-z]/g, '_'),
    description: null,
    parameters,
    strict: true,
  }))
  const tools = { syntax: 'hermes', definitions, mode: 'auto', parallel: true, markTokens: {} } as const
  return { format: { kind: 'text' }, tools, reasoning: null }
}

function timesOf(spec: OutputSpec): Times {
  const samples: number[] = []
  let numStates = 0
  const cpuStart = process.cpuUsage()
  for (let run = 0; run < NUM_RUNS; run++) {
    const start = performance.now()
    numStates = compileOutput(spec).stateRule.length
    samples.push(performance.now() - start)
  }
  const { user, system } = process.cpuUsage(cpuStart)
  samples.sort((a, b) => a - b)
  const quantile = (q: number): number => samples[Math.floor(q * (samples.length - 1))]!
  return { medianMs: quantile(0.5), p95Ms: quantile(0.95), cpuMs: (user + system) / 1000 / NUM_RUNS, numStates }
}

/** Milliseconds, or how it ended. */
function xgrammarCells(schema: JsonRecord): readonly [string, string] {
  const run = spawnSync(process.execPath, ['--conditions=inferd-source', XGRAMMAR_SCRIPT], {
    input: JSON.stringify(schema),
    encoding: 'utf8',
    timeout: XGRAMMAR_TIMEOUT_MS,
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  const lines = run.stdout
    .trim()
    .split('\n')
    .filter((line) => line.startsWith('{'))
  const end = run.error === undefined ? 'aborts' : `over ${XGRAMMAR_TIMEOUT_MS / 1000} s`
  const times: Partial<XGrammarTimes> = Object.assign({}, ...lines.map((line) => JSON.parse(line) as Partial<XGrammarTimes>))
  return [times.grammarMs?.toFixed(2) ?? end, times.compiledMs?.toFixed(1) ?? end]
}
