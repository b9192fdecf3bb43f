import { describe, expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'
import { type AnswerItem, checkPlaces, readAnswer } from '../../../../tests/fixtures/tool-talk/read-answer.ts'
import { AnswerScanner, MAX_HELD_CALL } from './answer-scanner.ts'
import { findToolSyntax, toolSyntaxNamed } from './find-tool-syntax.ts'
import type { ToolSyntaxName } from './tool-syntax.ts'

const MARKS: Readonly<Record<ToolSyntaxName, string>> = {
  hermes: '<tool_call>',
  llama3: '<|python_tag|>',
  'mistral-array': '[TOOL_CALLS]',
  'mistral-named': '[TOOL_CALLS]',
  gemma: '<start_function_call>',
  pythonic: '<|python_start|>',
}

function read(name: ToolSyntaxName, texts: readonly string[]): readonly AnswerItem[] {
  return readAnswer(toolSyntaxNamed(name).createParser(), texts)
}

const call = (name: string, args: string): AnswerItem => ({ name, arguments: args })
const said = (text: string, start = 0): AnswerItem => ({ text, start })

type Case = readonly [what: string, text: string, items: readonly AnswerItem[]]

const HERMES: readonly Case[] = [
  ['a call', '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>', [call('f', '{"a": 1}')]],
  [
    'calls after text',
    'Let me see.\n<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>\n<tool_call>\n{"name": "g", "arguments": {"x": [ ]}}\n</tool_call>\n',
    [said('Let me see.'), call('f', '{}'), call('g', '{"x": [ ]}')],
  ],
  [
    'text between calls and after them',
    '<tool_call>{"name":"f","arguments":{}}</tool_call> and <tool_call>{"name":"g","arguments":{}}</tool_call>\nend',
    [call('f', '{}'), said(' and', 50), call('g', '{}'), said('\nend', 105)],
  ],
  [
    'marks, quotes and braces in strings',
    '<tool_call>{"name":"f","arguments":{"a":"}\\"</tool_call>{\\\\"}}</tool_call>',
    [call('f', '{"a":"}\\"</tool_call>{\\\\"}')],
  ],
  ['arguments before the name', '<tool_call>{"arguments": {"a": {}}, "name": "f"}</tool_call>', [call('f', '{"a": {}}')]],
  [
    'members that do not matter',
    '<tool_call>{"id": [1, "]"], "x": -1.5e3 , "name": "f", "y": null, "arguments": {}, "z": "}"}</tool_call>',
    [call('f', '{}')],
  ],
  ['an escaped name', '<tool_call>{"name": "caf\\u00e9", "arguments": {}}</tool_call>', [call('café', '{}')]],
  ['white space inside arguments', '<tool_call>{"name": "f", "arguments": {\n  "a": 1\n}}</tool_call>', [call('f', '{\n  "a": 1\n}')]],
  ['no closing mark', '<tool_call>\n{"name": "f", "arguments": {}}', [call('f', '{}')]],
  [
    'no closing mark before the next call',
    '<tool_call>{"name": "f", "arguments": {}}\n<tool_call>{"name": "g", "arguments": {}}',
    [call('f', '{}'), call('g', '{}')],
  ],
  ['half a closing mark at the end', '<tool_call>{"name": "f", "arguments": {}}\n</tool', [call('f', '{}')]],
  ['junk instead of a closing mark', '<tool_call>{"name": "f", "arguments": {}}</tool!', [call('f', '{}'), said('</tool!', 41)]],
  ['junk behind arguments', '<tool_call>{"name": "f", "arguments": {} oops}', [call('f', '{}'), said(' oops}', 40)]],
  ['a cut in the arguments', '<tool_call>{"name": "f", "arguments": {"a": "b', [{ name: 'f', arguments: '{"a": "b', isOpen: true }]],
  ['a cut before the name is known', 'Hi <tool_call>\n{"na', [said('Hi <tool_call>\n{"na')]],
  ['a doubled mark', '<tool_call><tool_call>{"name": "f", "arguments": {}}</tool_call>', [said('<tool_call>'), call('f', '{}')]],
  ['almost a mark', 'a <tool_cal <tool_<tool_call', [said('a <tool_cal <tool_<tool_call')]],
  ['a mark without JSON', 'Use <tool_call> to call.', [said('Use <tool_call> to call.')]],
  [
    'arguments that are no object',
    '<tool_call>{"name": "f", "arguments": "{}"}</tool_call>',
    [said('<tool_call>{"name": "f", "arguments": "{}"}</tool_call>')],
  ],
  ['no arguments', '<tool_call>{"name": "f"}</tool_call>', [said('<tool_call>{"name": "f"}</tool_call>')]],
  ['a name that is no string', '<tool_call>{"name": 1, "arguments": {}}', [said('<tool_call>{"name": 1, "arguments": {}}')]],
  ['plain text', '  Hello, {world} \n', [said('  Hello, {world} \n')]],
  ['white space only', ' \n ', [said(' \n ')]],
  ['nothing', '', []],
]

const LLAMA3: readonly Case[] = [
  ['a call', '{"name": "f", "parameters": {"a": "b"}}', [call('f', '{"a": "b"}')]],
  ['a mark, and the type that some write', '<|python_tag|>{"type": "function", "name": "f", "parameters": {}}', [call('f', '{}')]],
  [
    'several calls',
    '\n{"name": "f", "parameters": {}}; {"name": "g", "parameters": {"n": 2}};{"name": "h", "parameters": {}}\n',
    [call('f', '{}'), call('g', '{"n": 2}'), call('h', '{}')],
  ],
  ['text after a call', '{"name": "f", "parameters": {}} is it', [call('f', '{}'), said(' is it', 31)]],
  ['JSON that is no call', '{"city": "Paris"}', [said('{"city": "Paris"}')]],
  ['JSON behind text', 'Here: {"name": "f", "parameters": {}}', [said('Here: {"name": "f", "parameters": {}}')]],
  ['a mark behind text', 'Here:\n<|python_tag|>{"name": "f", "parameters": {}}', [said('Here:'), call('f', '{}')]],
  ['code behind the mark', '<|python_tag|>print(1)', [said('<|python_tag|>print(1)')]],
  ['a second object that is no call', '{"name": "f", "parameters": {}}; {"a": 1}', [call('f', '{}'), said('; {"a": 1}', 31)]],
  ['a mark that begins and breaks off', '<|py{"name": "f", "parameters": {}}', [said('<|py{"name": "f", "parameters": {}}')]],
  ['a second call without its end', '{"name": "f", "parameters": {}}; {"name": "g", "parameters": {} ', [call('f', '{}'), call('g', '{}')]],
]

const MISTRAL: readonly Case[] = [
  ['an array', '[TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}, "id": "abcdefghi"}]', [call('f', '{"a": 1}')]],
  [
    'several calls',
    '[TOOL_CALLS][{"name": "f", "arguments": {}}, {"arguments": {"b": "]"}, "name": "g"}]\n',
    [call('f', '{}'), call('g', '{"b": "]"}')],
  ],
  ['an array without its end', '[TOOL_CALLS][{"name": "f", "arguments": {}}', [call('f', '{}')]],
  ['the named form', '[TOOL_CALLS]f[ARGS]{"a": "[ARGS]"}', [call('f', '{"a": "[ARGS]"}')]],
  ['several named calls', 'Hm. [TOOL_CALLS]f[ARGS]{} [TOOL_CALLS]g.h-1{"a": 2}', [said('Hm.'), call('f', '{}'), call('g.h-1', '{"a": 2}')]],
  ['an id between', '[TOOL_CALLS]f[CALL_ID]abcdefghi[ARGS]{}', [call('f', '{}')]],
  ['an empty array', '[TOOL_CALLS] []', [said('[TOOL_CALLS] []')]],
  ['a name without arguments', '[TOOL_CALLS]f or g', [said('[TOOL_CALLS]f or g')]],
  ['a wrong bracket', '[TOOL_CALLS]f[ARGZ]{}', [said('[TOOL_CALLS]f[ARGZ]{}')]],
  ['a second element that is no call', '[TOOL_CALLS][{"name": "f", "arguments": {}}, 7]', [call('f', '{}'), said(', 7]', 43)]],
]

const GEMMA: readonly Case[] = [
  ['a call', '<start_function_call>call:f{city:<escape>Paris<escape>,n:-1.5e2}<end_function_call>', [call('f', '{"city": "Paris", "n": -1.5e2}')]],
  [
    'several calls',
    'Ok\n<start_function_call>call:f{}<end_function_call><start_function_call>call:g{b:true,c:null}<end_function_call>',
    [said('Ok'), call('f', '{}'), call('g', '{"b": true, "c": null}')],
  ],
  [
    'nested values',
    '<start_function_call>call:f{o:{k:[1,<escape>a,}b"\\<escape>],<escape>x y<escape>:{}}}<end_function_call>',
    [call('f', '{"o": {"k": [1, "a,}b\\"\\\\"], "x y": {}}}')],
  ],
  [
    'a string without its end',
    '<start_function_call>call:f{a:<escape>b}<end_function_call>',
    [said('<start_function_call>call:f{a:<escape>b}<end_function_call>')],
  ],
  ['a bare word', '<start_function_call>call:f{a:b}<end_function_call>', [said('<start_function_call>call:f{a:b}<end_function_call>')]],
  ['a cut', '<start_function_call>call:f{a:1', [said('<start_function_call>call:f{a:1')]],
  ['another head', '<start_function_call>f{a:1}<end_function_call>', [said('<start_function_call>f{a:1}<end_function_call>')]],
  [
    'too much nesting',
    `<start_function_call>call:f{a:${'['.repeat(40)}${']'.repeat(40)}}<end_function_call>`,
    [said(`<start_function_call>call:f{a:${'['.repeat(40)}${']'.repeat(40)}}<end_function_call>`)],
  ],
]

const PYTHONIC: readonly Case[] = [
  ['calls', '[f(a=1, b="x"), g()]', [call('f', '{"a": 1, "b": "x"}'), call('g', '{}')]],
  ['a mark', '<|python_start|>[f(a=True)]', [call('f', '{"a": true}')]],
  ['a comma behind the last argument', '[f(a=1, ), g(b=[2,],)]', [call('f', '{"a": 1}'), call('g', '{"b": [2]}')]],
  [
    'nested literals',
    `[ f( a = None, b=[1.5, 'it\\'s'], c={'k': "v)", "n": -2}, d=False )  ]`,
    [call('f', `{"a": null, "b": [1.5, "it's"], "c": {"k": "v)", "n": -2}, "d": false}`)],
  ],
  ['escapes', String.raw`[f(a="\n\x41\u00e9\U0001f642\q\"")]`, [call('f', '{"a": "\\nAé🙂\\\\q\\""}')]],
  ['expressions', '[f(a=1+2)]', [said('[f(a=1+2)]')]],
  ['positional arguments', '[f(1)]', [said('[f(1)]')]],
  ['a list that is no call', '[1, 2] [f(a=1)]', [said('[1, 2] [f(a=1)]')]],
  ['a list behind text', 'See [f(a=1)]', [said('See [f(a=1)]')]],
  ['a second call that is none', '[f(), g(h())]', [call('f', '{}'), said(', g(h())]', 4)]],
  ['text behind the list', '[f()]\nDone', [call('f', '{}'), said('\nDone', 5)]],
  ['no end', '[f(), ', [call('f', '{}'), said(', ', 4)]],
]

const CASES: readonly (readonly [ToolSyntaxName, readonly Case[]])[] = [
  ['hermes', HERMES],
  ['llama3', LLAMA3],
  ['mistral-array', MISTRAL],
  ['mistral-named', MISTRAL],
  ['gemma', GEMMA],
  ['pythonic', PYTHONIC],
]

for (const [name, cases] of CASES) {
  describe(`${name}: an answer comes out the same however it is cut`, () => {
    for (const [what, text, items] of cases) {
      test(what, () => {
        expect(read(name, [text])).toEqual(items)
        checkPlaces(items, text)
        expect(read(name, text.split(''))).toEqual(items)
        for (let cut = 1; cut < text.length; cut += 1) expect(read(name, [text.slice(0, cut), text.slice(cut)])).toEqual(items)
      })
    }
  })
}

test('arguments stream while they are written', () => {
  const parser = toolSyntaxNamed('hermes').createParser()
  expect(parser.push('<tool_call>{"name": "f", "arguments": {"a": "lo')).toEqual([
    { kind: 'call-start', name: 'f' },
    { kind: 'call-arguments', text: '{"a": "lo' },
  ])
  expect(parser.push('ng"')).toEqual([{ kind: 'call-arguments', text: 'ng"' }])
  expect(parser.push('}')).toEqual([{ kind: 'call-arguments', text: '}' }, { kind: 'call-end' }])
})

test('text waits only while it may become a mark', () => {
  const parser = toolSyntaxNamed('hermes').createParser()
  expect(parser.push('a <')).toEqual([{ kind: 'text', text: 'a', start: 0 }])
  expect(parser.push('b')).toEqual([{ kind: 'text', text: ' <b', start: 1 }])
})

for (const [name, mark] of Object.entries(MARKS) as [ToolSyntaxName, string][]) {
  test(`${name}: a call that never ends is text from some length on, at the cost of one look at each unit`, () => {
    const openings = {
      hermes: '{"x": "',
      llama3: '{"x": "',
      'mistral-array': '[{"x": "',
      'mistral-named': '[{"arguments": {"x": "',
      gemma: 'call:f{a:<escape>',
      pythonic: '[f(a="',
    }
    const text = `${mark}${openings[name]}${'x'.repeat(3 * MAX_HELD_CALL)}`
    const parser = toolSyntaxNamed(name).createParser() as AnswerScanner
    let numHeld = 0
    let numOut = 0
    for (let start = 0; start < text.length; start += 1000) {
      for (const piece of parser.push(text.slice(start, start + 1000))) numOut += piece.kind === 'text' ? piece.text.length : 0
      numHeld = Math.max(numHeld, start - numOut)
    }
    expect(numHeld).toBeLessThanOrEqual(MAX_HELD_CALL)
    expect(numOut).toBe(text.length)
    expect(parser.numSteps).toBeLessThanOrEqual(text.length + 1)
  })

  test(`${name}: work is linear in any text, also in one that fails again and again`, () => {
    const random = new SeededRandom(1)
    const parts = [mark, '{"name": "f", "arguments": {}}', '{"x": [', '\n', '}', ' '.repeat(70), 'call:f{a:', '[f(', ';', '</tool_call', 'a']
    const parser = toolSyntaxNamed(name).createParser() as AnswerScanner
    let length = 0
    for (let round = 0; round < 20_000; round += 1) {
      const part = parts[random.nextInt(parts.length)]!
      parser.push(part)
      length += part.length
    }
    expect(parser.numSteps).toBeLessThanOrEqual(4 * length)
  })
}

test('the syntax is known from what a template writes, then from the vocabulary, and else unknown', () => {
  const found = (source: string, ...vocabulary: string[]) => {
    const tokenId = (text: string): number | null => (vocabulary.includes(text) ? vocabulary.indexOf(text) : null)
    return findToolSyntax(source, { tokenId } as Tokenizer)?.name ?? null
  }
  expect(found('<tool_call>')).toBe('hermes')
  expect(found('<tool_call><function=')).toBeNull()
  expect(found('<｜tool▁calls▁begin｜>', '<tool_call>')).toBeNull()
  expect(found('[TOOL_CALLS]')).toBe('mistral-array')
  expect(found('[TOOL_CALLS][ARGS]')).toBe('mistral-named')
  expect(found('[func_name1(a=b), func_name2()]')).toBe('pythonic')
  expect(found('{"name": function name, "parameters": ...}')).toBe('llama3')
  expect(found('<start_function_call>')).toBe('gemma')
  expect(found('tools', '<tool_call>')).toBe('hermes')
  expect(found('tools', '[TOOL_CALLS]', '[ARGS]')).toBe('mistral-named')
  expect(found('tools', '[TOOL_CALLS]')).toBe('mistral-array')
  expect(found('tools')).toBeNull()
})
