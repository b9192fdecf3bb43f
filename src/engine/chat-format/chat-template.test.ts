import { describe, expect, test } from 'vitest'
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import type { ChatMessage, JsonRecord } from '#contract/generate'
import { ChatTemplate } from './chat-template.ts'

const MESSAGES: readonly ChatMessage[] = [{ role: 'user', content: 'hello world' }]

function render(source: string, messages: readonly ChatMessage[] = MESSAGES): string {
  return ChatTemplate.compile(source).render({ messages, addGenerationPrompt: true, bosToken: '<s>', eosToken: '</s>' })
}

function failureOf(work: () => unknown): InferdError {
  try {
    work()
  } catch (error) {
    expect(error).toBeInstanceOf(InferdError)
    return error as InferdError
  }
  throw new Error('did not fail')
}

function rangesOf(source: string, content: string): string[] {
  const { text, ranges } = ChatTemplate.compile(source).renderRanged({
    messages: [{ role: 'user', content }],
    addGenerationPrompt: true,
    bosToken: '<s>',
    eosToken: '</s>',
  })
  return Array.from({ length: ranges.length / 2 }, (_, index) => text.slice(ranges[index * 2], ranges[index * 2 + 1]))
}

/** About 180,000 characters in ns.a. */
const LONG_TEXT = '{% set ns = namespace(a=messages[0].content) %}{% for i in range(14) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}'

const HOSTILE: readonly (readonly [string, string, RegExp?])[] = [
  ['a range without end', '{% for i in range(10**9) %}x{% endfor %}'],
  ['loops in loops', '{% for i in range(10000) %}{% for j in range(10000) %}{% endfor %}{% endfor %}'],
  ['doubling text', "{% set ns = namespace(a='xxxxxxxx') %}{% for i in range(100) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}"],
  ['doubling lists that are printed', '{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a }}'],
  [
    'doubling lists that are compared',
    "{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a == 'x' }}",
  ],
  [
    'doubling lists that become JSON',
    '{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a|tojson }}',
  ],
  ['a value inside itself', '{% set ns = namespace() %}{% set ns.a = ns %}{{ ns|tojson }}', /needs values nested deeper/],
  ['a macro that calls itself', '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}'],
  [
    'two macros that call each other twice',
    '{% macro f(n) %}{{ g(n) }}{{ g(n) }}{% endmacro %}{% macro g(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}',
  ],
  ['a text between every two characters', `${LONG_TEXT}{{ ns.a.replace('', ns.a) | length }}`, /needs text of more than/],
  ['a text between every two characters, as a filter', `${LONG_TEXT}{{ ns.a | replace('', ns.a) | length }}`, /needs text of more than/],
  ['a text between every two items', `${LONG_TEXT}{{ range(5000) | list | join(ns.a) | length }}`, /needs text of more than/],
  ['a long text looked for in a longer one', `${LONG_TEXT}{{ ns.a ~ 'x' in ns.a ~ ns.a }}`, /needs more than/],
  ['a wide indent', '{{ [1]|tojson(indent=1000000000) }}'],
  ['a wide indent of lines', "{{ 'a\nb' | indent(1000000000) }}"],
  ['a method kept for later', "{% set f = 'a'.replace %}{{ f('a', 'b') }}"],
  ['the constructor of a string', "{{ ''.constructor.constructor('return process')() }}"],
  ['a computed constructor', "{{ ''['constructor']['constructor']('return process')() }}"],
]

describe('hostile templates', () => {
  for (const [name, source, message] of HOSTILE) {
    test(`${name} ends in a clear rejection`, () => {
      const error = failureOf(() => render(source))
      expect(error.message).toMatch(message ?? /^the chat template (needs|fails)/)
      expect(error.code).toBe('invalid_parameter')
      expect(error.param).toBe('messages')
    })
  }

  test('prototype and constructor are undefined like any unknown name', () => {
    expect(render("{{ messages.__proto__ }}{{ ''.__proto__ }}{{ messages[0].constructor }}{{ constructor }}{{ __proto__ }}ok")).toBe('ok')
  })

  test('time ends a rendering on which nothing else does', () => {
    let nowMs = 0
    const clock: Clock = { nowMs: () => (nowMs += 500), wallMs: () => 0, sleep: () => Promise.resolve() }
    const template = ChatTemplate.compile('{% for i in range(5000) %}x{% endfor %}', {}, clock)
    expect(failureOf(() => template.render({ messages: MESSAGES, addGenerationPrompt: true, bosToken: '', eosToken: '' })).message).toContain(
      '2000 ms',
    )
  })

  test('white space without end is refused before the parser sees it', () => {
    expect(ChatTemplate.compile('\n'.repeat(250_000)).problem?.message).toContain('white space')
    expect(ChatTemplate.compile(`${'\n'.repeat(500)}x`).problem).toBeNull()
  })

  test('nesting beyond the parser is a problem of the template, told at first use', () => {
    const template = ChatTemplate.compile(`{{ ${'('.repeat(50_000)}1${')'.repeat(50_000)} }}`)
    expect(template.problem?.code).toBe('unsupported_model')
    expect(failureOf(() => template.render({ messages: MESSAGES, addGenerationPrompt: true, bosToken: '', eosToken: '' })).code).toBe(
      'unsupported_model',
    )
  })
})

describe('ChatTemplate', () => {
  test('raise_exception becomes a rejection with its words', () => {
    const error = failureOf(() => render("{{ raise_exception('roles must alternate') }}"))
    expect([error.code, error.param, error.message]).toEqual(['invalid_parameter', 'messages', 'roles must alternate'])
  })

  test('a request cannot set the names that the renderer sets', () => {
    for (const name of ['messages', 'tokenize', 'range', 'add_generation_prompt', 'loop']) {
      const input = { messages: MESSAGES, addGenerationPrompt: true, bosToken: '', eosToken: '', templateVariables: { [name]: 1 } }
      expect(failureOf(() => ChatTemplate.compile('x').render(input)).param).toBe('input.templateVariables')
    }
    const allowed = { messages: MESSAGES, addGenerationPrompt: true, bosToken: '', eosToken: '', templateVariables: { enable_thinking: false } }
    expect(ChatTemplate.compile('{{ enable_thinking is false }}').render(allowed)).toBe('true')
  })

  test('strip takes the characters that it is given, as in Python', () => {
    expect(render("[{{ ' \n a \n '.lstrip('\n ') }}][{{ '\n a'.lstrip('\n') }}][{{ 'xxaxx'.strip('x') }}][{{ ' a ' | trim }}]")).toBe(
      '[a \n ][ a][a][a]',
    )
  })

  test('the date comes from the clock', () => {
    const clock: Clock = { nowMs: () => 0, wallMs: () => new Date(2026, 10, 5, 9, 7).getTime(), sleep: () => Promise.resolve() }
    const template = ChatTemplate.compile("{{ strftime_now('%d %b %Y %H:%M') }}", {}, clock)
    expect(template.render({ messages: MESSAGES, addGenerationPrompt: true, bosToken: '', eosToken: '' })).toBe('05 Nov 2026 09:07')
  })

  test('ten thousand messages render within the limits', () => {
    const messages = Array.from({ length: 10_000 }, (_, index): ChatMessage => ({ role: index % 2 === 0 ? 'user' : 'assistant', content: 'x' }))
    const source =
      "{% for message in messages %}{% if message.role == 'user' %}U{{ message.content | trim }}{% else %}A{{ message['content'] }}{% endif %}{% endfor %}"
    expect(render(source, messages)).toBe('UxAx'.repeat(5000))
  })

  test('five megabytes of content pass through a template that trims and searches them', () => {
    const content = ` ${'lorem ipsum '.repeat(430_000)}`
    const source = "{% if '</think>' in messages[0].content %}{% endif %}<{{ messages[0].content.split('</think>')[-1] | trim }}>"
    expect(render(source, [{ role: 'user', content }])).toBe(`<${content.trim()}>`)
  })
})

describe('ranges of the caller’s text', () => {
  const cases: readonly (readonly [string, string, string, readonly string[]])[] = [
    ['printing', '<{{ messages[0].content }}>', 'ab', ['ab']],
    ['joining with plus', "{{ '<' + messages[0].content + '>' }}", 'ab', ['ab']],
    ['joining with a tilde and numbers', '{{ 12 ~ messages[0].content ~ 34 }}', 'ab', ['ab']],
    ['trimming', "{{ ('< ' + messages[0].content) | trim }}|{{ messages[0].content.strip() }}", ' ab ', [' ab', 'ab']],
    ['slicing', '<{{ messages[0].content[1:] }}>', 'abc', ['bc']],
    ['splitting', "<{{ messages[0].content.split('b')[1] }}>", 'abc', ['c']],
    ['replacing', "<{{ 'x_y'.replace('_', messages[0].content) }}>", 'abc', ['xabcy']],
    ['case', '<{{ messages[0].content | upper }}>', 'abc', ['ABC']],
    ['JSON', '<{{ messages[0] | tojson }}>', 'a', ['{"role": "user", "content": "a"}']],
    ['a macro', '{% macro m(c) %}({{ c }}){% endmacro %}<{{ m(messages[0].content) }}>', 'abc', ['abc']],
    ['a block set', '{% set b %}({{ messages[0].content }}){% endset %}<{{ b }}>', 'abc', ['abc']],
    ['a block set that is trimmed', '{% set b %} ({{ messages[0].content }}) {% endset %}<{{ b | trim }}>', 'abc', ['abc']],
    ['a filter block', '<{% filter upper %}x{{ messages[0].content }}{% endfilter %}>', 'abc', ['XABC']],
    ['a caller block', '{% macro m() %}({{ caller() }}){% endmacro %}{% call m() %}{{ messages[0].content }}!{% endcall %}', 'abc', ['abc']],
    ['a loop over attributes', "{% for c in messages | map(attribute='content') %}<{{ c }}>{% endfor %}", 'abc', ['abc']],
    ['a namespace', '{% set ns = namespace() %}{% set ns.c = messages[0].content %}<{{ ns.c }}>', 'abc', ['abc']],
    ['a list of contents', '<{{ [messages[0].content, 1] }}>', 'a', ['["a", 1]']],
    ['joining a list', "<{{ [messages[0].content, 'z'] | join('-') }}>", 'a', ['a-z']],
    [
      'text that looks like a reference',
      '<{{ messages[0].content }}{{ messages[0].content.strip() }}>',
      '\ufffe0\ufffe',
      ['\ufffe0\ufffe\ufffe0\ufffe'],
    ],
    ['no text of the caller', '<{{ messages | length }}{{ messages[0].role }}>', 'abc', []],
    ['a default', "<{{ messages[0].content | default('x') }}>", 'abc', ['abc']],
    ['a condition', "<{{ messages[0].content if true else 'x' }}{{ messages[0].content or 'x' }}>", 'abc', ['abcabc']],
  ]
  const keys: typeof cases = [
    ['a key in JSON', '<{{ {messages[0].content: 1} | tojson }}>', 'abc', ['{"abc": 1}']],
    ['a key that is printed', '<{{ {messages[0].content: 1} }}>', 'abc', ['{"abc": 1}']],
    ['a key of items()', '{% for k, v in {messages[0].content: 1}.items() %}<{{ k }}{{ v }}>{% endfor %}', 'abc', ['abc']],
    ['a key of the items filter', '<{{ ({messages[0].content: 1} | items)[0][0] }}>', 'abc', ['abc']],
    ['a key of dictsort', '{% for k, v in {messages[0].content: 1} | dictsort %}<{{ k }}{{ v }}>{% endfor %}', 'abc', ['abc']],
    ['a key of keys()', "<{{ {messages[0].content: 1}.keys() | join('-') }}>", 'abc', ['abc']],
    ['a key of an iteration', '{% for k in {messages[0].content: 1} %}<{{ k }}>{% endfor %}', 'abc', ['abc']],
    ['a key of a selecting iteration', '{% for k in {messages[0].content: 1} if k %}<{{ k }}>{% endfor %}', 'abc', ['abc']],
    ['a key in a namespace', '<{{ namespace({messages[0].content: 1}) | tojson }}>', 'abc', ['{"abc": 1}']],
    ['keys of the template', "{% for k, v in {'a': messages[0].content}.items() %}<{{ k }}{{ v }}>{% endfor %}", 'abc', ['abc']],
    ['keys of messages', '{% for k in messages[0] %}<{{ k }}>{% endfor %}', 'abc', []],
  ]
  for (const [name, source, content, expected] of [...cases, ...keys]) {
    test(name, () => expect(rangesOf(source, content)).toEqual(expected))
  }

  test('keys of an object that the request gave', () => {
    const input = { messages: MESSAGES, addGenerationPrompt: true, bosToken: '', eosToken: '', templateVariables: { given: { a: { b: 1 } } } }
    const rendered = (source: string) => ChatTemplate.compile(source).renderRanged(input)
    expect(rendered('{{ given.keys() | first }}')).toEqual({ text: 'a', ranges: [0, 1] })
    expect(rendered("{% for k in given['a'] %}{{ k }}{% endfor %}")).toEqual({ text: 'b', ranges: [0, 1] })
    expect(rendered('{{ given | tojson }}')).toEqual({ text: '{"a": {"b": 1}}', ranges: [0, 15] })
    expect(failureOf(() => rendered('{% macro m() %}{{ kwargs | tojson }}{% endmacro %}{{ m(**given) }}')).message).toContain('spread')
  })
})

test('an assistant message with an empty list of calls is one without calls', () => {
  const source = "{% for m in messages %}{{ 'tool_calls' in m }}{{ m.tool_calls is defined }}{% endfor %}"
  expect(render(source, [{ role: 'assistant', content: '', toolCalls: [] }])).toBe('falsefalse')
  expect(render(source, [{ role: 'assistant', content: '', toolCalls: [{ id: 'i', name: 'f', arguments: '{}' }] }])).toBe('truetrue')
})

test('arguments are an object to a template, and text where they are no JSON', () => {
  const source = '{{ messages[0].tool_calls[0].function.arguments | tojson }}'
  const withArguments = (written: string) =>
    render(source, [{ role: 'assistant', content: '', toolCalls: [{ id: 'i', name: 'f', arguments: written }] }])
  expect(withArguments('{"__proto__": {"a": [1.5]}, "b":null}')).toBe('{"__proto__": {"a": [1.5]}, "b": null}')
  expect(withArguments('{"a": ')).toBe('"{\\"a\\": "')
})

test('values that are nested too deeply are refused where they stand', () => {
  const deep = JSON.parse('{"a":'.repeat(5_000) + '1' + '}'.repeat(5_000)) as JsonRecord
  const input = { messages: MESSAGES, addGenerationPrompt: true, bosToken: '', eosToken: '' }
  const template = ChatTemplate.compile('{{ tools }}')
  const tools = [{ name: 'f', description: null, parameters: deep, strict: false }]
  const toolCalls = [{ id: 'i', name: 'f', arguments: JSON.stringify({ a: deep }) }]
  expect(failureOf(() => template.render({ ...input, tools })).param).toBe('output.tools')
  expect(failureOf(() => template.render({ ...input, templateVariables: { deep } })).param).toBe('input.templateVariables')
  expect(failureOf(() => template.render({ ...input, messages: [{ role: 'assistant', content: '', toolCalls }] })).param).toBe('messages')
})
