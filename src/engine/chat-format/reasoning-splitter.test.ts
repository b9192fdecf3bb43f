import { expect, test } from 'vitest'
import { type AnswerItem, checkPlaces, readAnswer } from '../../../tests/fixtures/tool-talk/read-answer.ts'
import { ChoiceParser } from './answer-parser.ts'
import { MAX_HELD_SPACE, ReasoningSplitter } from './reasoning-splitter.ts'
import { hermesSyntax } from './tool-syntaxes/hermes.ts'

const THINK = { open: '<think>', close: '</think>' }
const thought = (reasoning: string, start: number): AnswerItem => ({ reasoning, start })
const said = (text: string, start: number): AnswerItem => ({ text, start })
const SPACES = ' '.repeat(MAX_HELD_SPACE + 6)

const CASES: readonly (readonly [what: string, startsInside: boolean, text: string, items: readonly AnswerItem[]])[] = [
  ['reasoning and an answer', false, '<think>\nhm,\n so\n</think>\n\nYes.\n', [thought('hm,\n so', 8), said('Yes.\n', 26)]],
  ['white space before the mark', false, ' \n<think>a</think>b', [thought('a', 9), said('b', 18)]],
  ['reasoning that the prompt opened', true, 'a b</think> c', [thought('a b', 0), said('c', 12)]],
  ['white space behind the mark of the prompt', true, '\n a </think>', [thought('a', 2)]],
  ['nothing thought', false, '<think>\n\n</think>\n\nYes', [said('Yes', 19)]],
  ['nothing thought, opened by the prompt', true, '</think>Yes', [said('Yes', 8)]],
  ['a cut', false, '<think>a b \n', [thought('a b \n', 7)]],
  ['a cut in the closing mark', true, 'a\n</thi', [thought('a\n</thi', 0)]],
  ['a cut in the opening mark', false, '<thi', [said('<thi', 0)]],
  ['almost a closing mark', true, 'a </thin </<</think>b', [thought('a </thin </<', 0), said('b', 20)]],
  ['a mark inside', true, 'a <think> b</think>c', [thought('a <think> b', 0), said('c', 19)]],
  ['a mark in the answer', false, 'Use <think>x</think>.', [said('Use <think>x</think>.', 0)]],
  ['a second reasoning', false, '<think>a</think><think>b</think>', [thought('a', 7), said('<think>b</think>', 16)]],
  ['no reasoning', false, ' \n Yes ', [said(' \n Yes ', 0)]],
  ['white space only', false, ' \n ', [said(' \n ', 0)]],
  ['much white space', false, `${SPACES}<think>`, [said(`${SPACES}<think>`, 0)]],
  ['much white space before the closing mark', true, `a${SPACES}</think>`, [thought('a      ', 0)]],
  ['nothing', true, '', []],
]

for (const [what, startsInside, text, items] of CASES) {
  test(`reasoning comes out the same however it is cut: ${what}`, () => {
    const make = () => new ReasoningSplitter(THINK, startsInside)
    expect(readAnswer(make(), [text])).toEqual(items)
    checkPlaces(items, text)
    expect(readAnswer(make(), text.split(''))).toEqual(items)
    for (let cut = 1; cut < text.length; cut += 1) expect(readAnswer(make(), [text.slice(0, cut), text.slice(cut)])).toEqual(items)
  })
}

test('the closing mark has a place, and phases follow the text', () => {
  const splitter = new ReasoningSplitter(THINK, false)
  const phases = ['\n', '<think', '>', 'a', '</think', '> b'].map((text) => {
    splitter.push(text)
    return [splitter.phase, splitter.reasoningEnd]
  })
  expect(phases).toEqual([
    ['before', 0],
    ['before', 0],
    ['inside', 0],
    ['inside', 0],
    ['inside', 0],
    ['after', 17],
  ])
})

test('calls are read behind the reasoning, and none in it', () => {
  const call = '<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'
  const text = `<think>\nI call ${call}.\n</think>\n\nOk.\n${call}`
  const format = {
    syntax: hermesSyntax,
    readsCalls: true,
    reasoning: THINK,
    startsInsideReasoning: false,
    mayOpenReasoning: true,
    markTexts: new Map(),
    stopTokenIds: [],
  }
  const items = [thought(`I call ${call}.`, 8), said('Ok.', 86), { name: 'f', arguments: '{"a": 1}' }]
  for (let cut = 0; cut < text.length; cut += 1) {
    expect(readAnswer(new ChoiceParser(format), [text.slice(0, cut), text.slice(cut)])).toEqual(items)
  }
  checkPlaces(items, text)
})
