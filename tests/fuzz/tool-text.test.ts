/**
 * What models might write: mutated calls and reasoning. Whatever it is, reading it never throws, loses no character, does the same
 * however the stream is cut, and costs linear work. Seeded: a failure names its round.
 */
import { expect, test } from 'vitest'
import { type Random, SeededRandom } from '#base/random'
import type { AnswerFormat } from '#engine/chat-format/answer-format'
import { ChoiceParser } from '#engine/chat-format/answer-parser'
import { AnswerScanner } from '#engine/chat-format/tool-syntaxes/answer-scanner'
import { toolSyntaxNamed } from '#engine/chat-format/tool-syntaxes/find-tool-syntax'
import type { ToolSyntaxName } from '#engine/chat-format/tool-syntaxes/tool-syntax'
import { type AnswerItem, checkPlaces, readAnswer } from '../fixtures/tool-talk/read-answer.ts'

const NUM_ROUNDS = 50_000

const SYNTAXES: readonly ToolSyntaxName[] = ['hermes', 'llama3', 'mistral-array', 'mistral-named', 'gemma', 'pythonic']

const SEEDS: readonly string[] = [
  'Let me see.\n<tool_call>\n{"name": "f", "arguments": {"a": [1, "}\\""], "b": {}}}\n</tool_call>\n<tool_call>\n{"arguments": {}, "name": "g"}\n</tool_call>',
  '{"type": "function", "name": "f", "parameters": {"a": "x"}}; {"name": "g", "parameters": {}}',
  '<|python_tag|>{"name": "f", "parameters": {"n": -1.5e3, "t": true}}',
  '[TOOL_CALLS] [{"name": "f", "arguments": {"a": "[]"}, "id": "abcdefghi"}, {"arguments": {}, "name": "g"}]',
  'Hm. [TOOL_CALLS]f[CALL_ID]abcdefghi[ARGS]{"a": 1}[TOOL_CALLS]g{"b": {}}',
  '<start_function_call>call:f{city:<escape>Paris<escape>,o:{k:[1,true,null]}}<end_function_call><start_function_call>call:g{}<end_function_call>',
  `[f(a=1, b="x\\"", c={'k': [None, 2.5]}), g(d=True)]`,
  '<|python_start|>[f()]',
  'Plain text, with {braces} and [lists] and <marks>.\n',
]
const PARTS: readonly string[] = [
  ...'{}[]()"\'\\:,;<>/ \n\t0e'.split(''),
  'null',
  '\u0000',
  '\ud800',
  '🙂',
  '\ufeff',
  '<tool_call>',
  '</tool_call>',
  '<|python_tag|>',
  '[TOOL_CALLS]',
  '[ARGS]',
  '<start_function_call>',
  '<end_function_call>',
  '<escape>',
  '<think>',
  '</think>',
  '"name"',
  '"arguments": {',
  '__proto__',
  'call:',
  ' '.repeat(70),
  '\\u0041',
  '['.repeat(40),
  '{"a":'.repeat(40),
]

function mutate(random: Random): string {
  const isOpened = random.nextInt(4) === 0
  let text = (isOpened ? '<think>\nI call f.\n</think>\n\n' : '') + SEEDS[random.nextInt(SEEDS.length)]!
  for (let count = random.nextInt(5); count > 0; count -= 1) {
    const at = random.nextInt(text.length + 1)
    const end = Math.min(text.length, at + random.nextInt(1 + random.nextInt(12)))
    const kind = random.nextInt(4)
    const inserted = kind === 0 ? '' : kind === 1 ? text.slice(random.nextInt(text.length + 1)) : PARTS[random.nextInt(PARTS.length)]!
    text = text.slice(0, at) + inserted + text.slice(random.nextInt(2) === 0 ? at : end)
  }
  return text
}

function cutUp(text: string, random: Random): string[] {
  const pieces: string[] = []
  for (let start = 0; start < text.length;) {
    const end = start + 1 + random.nextInt(1 + random.nextInt(20))
    pieces.push(text.slice(start, end))
    start = end
  }
  return pieces
}

/** Everything that is not in the answer's text belongs to calls and marks, in order; where there are none, nothing is missing. */
function checkAccount(items: readonly AnswerItem[], text: string, writesJson: boolean): void {
  checkPlaces(items, text)
  if (items.every((item) => 'text' in item)) return expect(items.map((item) => item.text).join('')).toBe(text)
  let place = 0
  for (const item of items) {
    if (!('name' in item)) place = item.start + ('text' in item ? item.text : item.reasoning).length
    else if (writesJson) {
      const found = text.indexOf(item.arguments, place)
      expect(found).toBeGreaterThanOrEqual(place)
      place = found + item.arguments.length
    } else JSON.parse(item.arguments)
  }
}

test(`${NUM_ROUNDS} mutated answers are read without loss, the same in a stream and at once`, () => {
  const random = new SeededRandom(20_261_122)
  let numCalls = 0
  let numThoughts = 0
  for (let round = 0; round < NUM_ROUNDS; round += 1) {
    const text = mutate(random)
    const syntax = toolSyntaxNamed(SYNTAXES[round % SYNTAXES.length]!)
    const reasoning = random.nextInt(2) === 0 ? { open: '<think>', close: '</think>' } : null
    const startsInsideReasoning = reasoning !== null && random.nextInt(4) === 0
    const format: AnswerFormat = {
      syntax,
      readsCalls: true,
      reasoning,
      startsInsideReasoning,
      mayOpenReasoning: true,
      markTexts: new Map(),
      stopTokenIds: [],
    }
    try {
      const whole = readAnswer(new ChoiceParser(format), [text])
      expect(readAnswer(new ChoiceParser(format), cutUp(text, random))).toEqual(whole)
      if (whole.length > 0 && reasoning === null) checkAccount(whole, text, syntax.canConstrain)
      else checkPlaces(whole, text)
      numCalls += whole.filter((item) => 'name' in item).length
      numThoughts += whole.filter((item) => 'reasoning' in item).length
    } catch (error) {
      throw new Error(`round ${round}, ${syntax.name}: ${JSON.stringify(text)}`, { cause: error })
    }
  }
  // The mutations leave enough to read.
  expect([numCalls > NUM_ROUNDS / 20, numThoughts > NUM_ROUNDS / 20]).toEqual([true, true])
})

test('the work for a mutated answer is linear in its length', () => {
  const random = new SeededRandom(5)
  for (let round = 0; round < 2_000; round += 1) {
    const text = Array.from({ length: 20 }, () => mutate(random)).join('')
    const parser = toolSyntaxNamed(SYNTAXES[round % SYNTAXES.length]!).createParser() as AnswerScanner
    parser.push(text)
    parser.finish()
    expect(parser.numSteps).toBeLessThanOrEqual(2 * text.length)
  }
})
