/**
 * The official JSON Schema test suite against our grammars: CHECKOUT [--lax] [--list narrower|refused]. Every schema is compiled as the standard
 * means it (objects are open where nothing closes them), every instance is fed to the native matcher. Prints a table in Markdown, then each
 * WIDER case (an invalid instance that the grammar generates), each crash and each slow schema. `--lax` leaves out what is not enforced
 * instead of refusing it: then only narrower cases, crashes and times say something.
 */
import { parseArgs } from 'node:util'
import type { JsonValue } from '#contract/generate'
import { InferdError } from '#contract/errors'
import { compileAutomaton } from '#engine/grammar/compile-automaton'
import type { Automaton } from '#engine/grammar/automaton'
import { GrammarBuilder } from '#engine/grammar/grammar-builder'
import { DEFAULT_GRAMMAR_LIMITS } from '#engine/grammar/grammar-limits'
import { lowerJsonSchema } from '#engine/grammar/json-schema/lower-json-schema'
import type { LoadedGrammar } from '#engine/grammar/token-matcher'
import { createNativeVocabulary } from '#engine/kernels/native/native-vocabulary'
import { textsOf } from './instance-texts.ts'
import { commitOf, DRAFTS, type Draft, type Part, PARTS, readSuite, type SuiteCase, type SuiteSchema } from './suite-checkout.ts'
import { keep, recordOf } from '../record.ts'

const SLOW_MS = 200
/** The schema holds no value: rightly refused when all of its instances are invalid. */
const HOLDS_NOTHING = /no value satisfies the schema|matches no text/
const OUTCOMES = ['agrees', 'narrower', 'wider', 'refused'] as const

type Outcome = (typeof OUTCOMES)[number]
type Tally = Record<Outcome | 'schemas' | 'refusedSchemas', number>

type Compiled =
  | { readonly kind: 'grammar'; readonly grammar: LoadedGrammar }
  | { readonly kind: 'nothing'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string }

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { lax: { type: 'boolean', default: false }, list: { type: 'string', multiple: true, default: [] } },
})
const [checkout] = positionals
if (checkout === undefined) throw new Error('CHECKOUT: a folder with json-schema-org/JSON-Schema-Test-Suite')

const BYTES = createNativeVocabulary(Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)))
const tallies = new Map<string, Tally>()
const lists: Record<Outcome | 'crash' | 'slow', string[]> = { agrees: [], narrower: [], wider: [], refused: [], crash: [], slow: [] }

for (const draft of DRAFTS) for (const part of PARTS) for (const schema of readSuite(checkout, draft, part)) judgeSchema(schema)
console.log(`JSON-Schema-Test-Suite ${commitOf(checkout)}${flags.lax ? ', lax' : ''}\n`)
for (const part of PARTS) printTable(part)
for (const name of ['wider', 'crash', 'slow', ...flags.list] as (keyof typeof lists)[]) {
  console.log(`\n${name}: ${lists[name].length}`)
  for (const line of lists[name]) console.log(`  ${line}`)
}

/** As the standard means it: an object that says nothing of further members may have them. The product's own setting closes it. */
function compileAsStandard(schema: JsonValue): Automaton {
  const builder = new GrammarBuilder()
  const root = builder.declare('root')
  const unenforced = flags.lax ? 'widen' : 'refuse'
  builder.define(root, lowerJsonSchema(builder, schema, { whitespace: 'flexible', limits: DEFAULT_GRAMMAR_LIMITS, closedObjects: false, unenforced }))
  return compileAutomaton(builder.build(root), DEFAULT_GRAMMAR_LIMITS)
}

function judgeSchema(suite: SuiteSchema): void {
  const where = `${suite.draft}/${suite.part === '' ? '' : `${suite.part}/`}${suite.keyword}: ${suite.description}`
  let compiled: Compiled
  const start = process.cpuUsage()
  try {
    compiled = compiledOf(suite.schema)
  } catch (error) {
    lists.crash.push(`${where}: ${(error as Error).stack}`)
    return
  } finally {
    const { user, system } = process.cpuUsage(start)
    const ms = (user + system) / 1000
    if (ms > SLOW_MS) lists.slow.push(`${where}: ${ms.toFixed(0)} ms of processor time`)
  }
  const tally = tallyOf(suite)
  tally.schemas++
  if (compiled.kind === 'refused') tally.refusedSchemas++
  for (const test of suite.cases) {
    const [outcome, text] = outcomeOf(compiled, suite, test)
    tally[outcome]++
    lists[outcome].push(`${where} / ${test.description}: ${text}; schema ${JSON.stringify(suite.schema).slice(0, 600)}`)
  }
}

function compiledOf(schema: JsonValue): Compiled {
  try {
    return { kind: 'grammar', grammar: BYTES.load(compileAsStandard(schema)) }
  } catch (error) {
    if (!(error instanceof InferdError)) throw error
    return { kind: HOLDS_NOTHING.test(error.message) ? 'nothing' : 'refused', reason: error.message }
  }
}

/** With the text that decided, or the reason. */
function outcomeOf(compiled: Compiled, { schema }: SuiteSchema, { data, isValid }: SuiteCase): readonly [Outcome, string] {
  if (compiled.kind === 'refused') return ['refused', compiled.reason]
  if (compiled.kind === 'nothing') return [isValid ? 'narrower' : 'agrees', compiled.reason]
  let first: string | null = null
  for (const text of textsOf(data, schema)) {
    first ??= text
    if (generates(compiled.grammar, text)) return [isValid ? 'agrees' : 'wider', text]
  }
  return [isValid ? 'narrower' : 'agrees', first ?? '']
}

function generates(grammar: LoadedGrammar, text: string): boolean {
  const matcher = grammar.createMatcher()
  for (const byte of Buffer.from(text)) if (!matcher.accept(byte)) return false
  return matcher.canEnd
}

function keyOf(draft: Draft, part: Part, keyword: string): string {
  return `${draft} ${part} ${keyword}`
}

function tallyOf({ draft, part, keyword }: SuiteSchema): Tally {
  const key = keyOf(draft, part, keyword)
  let tally = tallies.get(key)
  if (tally === undefined) {
    tally = { schemas: 0, refusedSchemas: 0, agrees: 0, narrower: 0, wider: 0, refused: 0 }
    tallies.set(key, tally)
  }
  return tally
}

function printTable(part: Part): void {
  const keywords = new Set([...tallies.keys()].filter((key) => key.split(' ')[1] === part).map((key) => key.split(' ')[2]!))
  const heads = DRAFTS.flatMap((draft) => OUTCOMES.map((outcome, index) => (index === 0 ? `${draft}: ${outcome}` : outcome)))
  console.log(`${part === '' ? 'required' : part}\n\n| keyword | ${heads.join(' | ')} |\n|---|${heads.map(() => '---|').join('')}`)
  const totals = new Map(DRAFTS.map((draft) => [draft, { schemas: 0, refusedSchemas: 0, agrees: 0, narrower: 0, wider: 0, refused: 0 }]))
  for (const keyword of [...keywords].toSorted()) {
    const cells = DRAFTS.flatMap((draft) => {
      const tally = tallies.get(keyOf(draft, part, keyword))
      if (tally === undefined) return OUTCOMES.map(() => '')
      const total = totals.get(draft)!
      for (const name of Object.keys(total) as (keyof Tally)[]) total[name] += tally[name]
      return OUTCOMES.map((outcome) => (tally[outcome] === 0 ? '.' : String(tally[outcome])))
    })
    console.log(`| ${keyword} | ${cells.join(' | ')} |`)
  }
  for (const draft of DRAFTS) {
    for (const outcome of OUTCOMES) {
      const name = `${draft}, ${part === '' ? 'required' : part}`
      keep(recordOf({ suite: 'json-schema-suite', case: name, metric: outcome, unit: 'instances' }, [totals.get(draft)![outcome]]))
    }
  }
  console.log(`| **all** | ${DRAFTS.flatMap((draft) => OUTCOMES.map((outcome) => String(totals.get(draft)![outcome]))).join(' | ')} |`)
  const schemas = DRAFTS.map((draft) => `${draft} ${totals.get(draft)!.refusedSchemas} of ${totals.get(draft)!.schemas}`)
  console.log(`\nSchemas refused by name: ${schemas.join(', ')}.\n`)
}
