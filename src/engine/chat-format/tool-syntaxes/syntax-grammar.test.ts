import { expect, test } from 'vitest'
import { type Random, SeededRandom } from '#base/random'
import { matchesText } from '#engine/grammar/char-algebra-inspect'
import type { CharAutomaton } from '#engine/grammar/char-automaton'
import { type Expr, type Grammar, sequence, text } from '#engine/grammar/grammar'
import { GrammarBuilder } from '#engine/grammar/grammar-builder'
import { type AnswerItem, readAnswer } from '../../../../tests/fixtures/tool-talk/read-answer.ts'
import { toolSyntaxNamed } from './find-tool-syntax.ts'
import type { CallableTool, MarkTokens, ToolSyntaxName } from './tool-syntax.ts'

const NAMES: readonly ToolSyntaxName[] = ['hermes', 'llama3', 'mistral-array', 'mistral-named']
const TOOLS: readonly CallableTool[] = [
  { name: 'get_weather', argumentsExpr: text('{"city": "}</tool_call>[TOOL_CALLS]"}') },
  { name: 'noop-2', argumentsExpr: text('{}') },
]

/** A text of the grammar, drawn at random; tokens are spelled by `spell`. */
function derive(grammar: Grammar, random: Random, spell: (tokenId: number) => string): string {
  const write = (expr: Expr): string => {
    switch (expr.kind) {
      case 'text':
        return expr.text
      case 'chars': {
        const pair = 2 * random.nextInt(expr.ranges.length / 2)
        const [first, last] = [expr.ranges[pair]!, expr.ranges[pair + 1]!]
        return String.fromCodePoint(first + random.nextInt(Math.min(last - first + 1, 200)))
      }
      case 'regular':
        return walk(expr.automaton, random)
      case 'sequence':
        return expr.items.map(write).join('')
      case 'choice':
        return write(expr.items[random.nextInt(expr.items.length)]!)
      case 'repeat': {
        const count = expr.min + random.nextInt((expr.max ?? expr.min + 3) - expr.min + 1)
        return Array.from({ length: count }, () => write(expr.body)).join('')
      }
      case 'rule':
        return write(grammar.rules[expr.id]!.body)
      case 'token':
        return spell(expr.tokenId)
    }
  }
  return write(grammar.rules[grammar.root]!.body)
}

function walk({ edges, accepting }: CharAutomaton, random: Random): string {
  let state = 0
  let walked = ''
  while (!(accepting[state] === true && random.nextInt(20) === 0)) {
    const choices = edges[state]!
    const { first, last, target } = choices[random.nextInt(choices.length)]!
    walked += String.fromCodePoint(first + random.nextInt(Math.min(last - first + 1, 100)))
    state = target
  }
  return walked
}

function grammarOf(
  name: ToolSyntaxName,
  options: { readonly parallel: boolean; readonly isAuto: boolean; readonly markTokens: MarkTokens },
): Grammar {
  const syntax = toolSyntaxNamed(name)
  const builder = new GrammarBuilder()
  const root = builder.declare('root')
  const calls = builder.add('calls', syntax.callsExpr(builder, TOOLS, options))
  builder.define(root, options.isAuto ? syntax.autoExpr(builder, calls, null, options.markTokens) : sequence(calls))
  return builder.build(root)
}

const callsIn = (items: readonly AnswerItem[]) => items.filter((item) => 'name' in item)

for (const name of NAMES) {
  const { marks } = toolSyntaxNamed(name)
  const asTokens: MarkTokens = Object.fromEntries(marks.map((mark, index) => [mark, index]))
  for (const markTokens of [{}, asTokens]) {
    const spelled = markTokens === asTokens ? 'special tokens' : 'text'
    const read = (answer: string) => readAnswer(toolSyntaxNamed(name).createParser(), [answer])

    test(`${name}, marks as ${spelled}: what the grammar of calls allows is read back as these calls and nothing else`, () => {
      const random = new SeededRandom(3)
      const counts = new Set<number>()
      for (let round = 0; round < 300; round += 1) {
        const parallel = round % 2 === 0
        const items = read(derive(grammarOf(name, { parallel, isAuto: false, markTokens }), random, (tokenId) => marks[tokenId]!))
        expect(items.map((item) => ('name' in item ? item.name + item.arguments : item))).toEqual(
          callsIn(items).map((item) => (item.name === 'noop-2' ? 'noop-2{}' : 'get_weather{"city": "}</tool_call>[TOOL_CALLS]"}')),
        )
        expect(items.some((item) => 'isOpen' in item)).toBe(false)
        if (parallel) counts.add(items.length)
        else expect(items.length).toBe(1)
      }
      expect(Math.max(...counts)).toBeGreaterThan(2)
    })

    test(`${name}, marks as ${spelled}: where the model chooses, text is read as text, and calls are complete`, () => {
      const random = new SeededRandom(4)
      let numTexts = 0
      let numCalls = 0
      const grammar = grammarOf(name, { parallel: true, isAuto: true, markTokens })
      for (let round = 0; round < 300; round += 1) {
        const items = read(derive(grammar, random, (tokenId) => marks[tokenId]!))
        expect(items.every((item) => !('isOpen' in item))).toBe(true)
        if (callsIn(items).length === 0) numTexts += 1
        else numCalls += 1
      }
      expect([numTexts > 50, numCalls > 50]).toEqual([true, true])
    })
  }
}

test('syntaxes without JSON say that they cannot be held to a grammar', () => {
  const builder = new GrammarBuilder()
  for (const name of ['gemma', 'pythonic'] as const) {
    const syntax = toolSyntaxNamed(name)
    expect(syntax.canConstrain).toBe(false)
    expect(() => syntax.callsExpr(builder, TOOLS, { parallel: true, markTokens: {} })).toThrow('no grammar')
  }
})

/** Automata of regular expressions anywhere inside. */
function automataIn(expr: Expr): readonly CharAutomaton[] {
  if (expr.kind === 'regular') return [expr.automaton]
  if (expr.kind === 'sequence' || expr.kind === 'choice') return expr.items.flatMap(automataIn)
  return expr.kind === 'repeat' ? automataIn(expr.body) : []
}

test('free text never spells the mark of a call, so that a call that has begun is held to its form', () => {
  for (const name of NAMES) {
    const syntax = toolSyntaxNamed(name)
    const automata = automataIn(syntax.autoExpr(new GrammarBuilder(), text('calls'), null, {}))
    expect(automata.length).toBeGreaterThan(0)
    const allows = (said: string) => automata.some((automaton) => matchesText(automaton, said))
    expect([allows(`a ${syntax.marks[0]} b`), allows(`a ${syntax.marks[0]!.slice(0, -1)} b`)]).toEqual([false, true])
  }
})
