import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { GuardrailPolicy } from '#contract/guardrail'
import { EMPTY_POLICY, NO_MODELS, PII_TYPES, piiPolicy } from '../../../tests/safety/policies.ts'
import { ChoiceGate } from './choice-gate.ts'
import { compilePolicy } from './compiled-policy.ts'

const PARTS = [
  ...['the ', 'a', ' ', '\n', '\n', '. ', 'word ', 'Über ', '密', '😀', '\u200b', '  ', 'mail ', '@', '.', ':', '-', 'x', '7', 'card '],
  ...[
    'anna.lee@example.com',
    '4111 1111 1111 1111',
    '5500-0000-0000-0004',
    'GB29 NWBK 6016 1331 9268 19',
    '212-555-0187',
    '+49 30 901820',
    '10.20.30.40',
  ],
  ...[
    'https://example.com/a/b?c=d',
    '078-05-1120',
    'AKIAIOSFODNN7EXAMPLE',
    'password: hunter2!',
    'Mr. John Smith',
    'sk-proj-a8Fk3Lm9Qz7Xw2Vb5Nc1',
    '2001:db8::1',
  ],
  ...['kill', ' switch', 'blue', 'bird', 'Proj', 'ect ', 'Falcon', 'FALCON ', 'secret-', '123', '456', 'zz9', 'z'],
]
const MASKING: GuardrailPolicy = {
  ...piiPolicy(PII_TYPES, 'mask'),
  words: [{ text: 'kill switch', input: 'mask', output: 'mask' }],
}
const BLOCKING: GuardrailPolicy = {
  ...piiPolicy(['EMAIL', 'CREDIT_DEBIT_CARD_NUMBER'], 'mask'),
  words: ['kill switch', 'bluebird', 'project falcon'].map((text) => ({ text, input: 'block', output: 'block' })),
}
const PATTERNS: GuardrailPolicy = {
  ...BLOCKING,
  regexes: [
    { name: 'code', description: '', pattern: String.raw`secret-\d+`, input: 'mask', output: 'mask' },
    { name: 'tail', description: '', pattern: String.raw`zz\d+z\b`, input: 'block', output: 'block' },
  ],
}
const TOPIC: GuardrailPolicy = {
  ...MASKING,
  topics: [
    { name: 'birds', definition: 'Falcon birds and blue birds of a project', examples: ['blue bird falcon'], input: 'block', output: 'block' },
  ],
}

/** Personal data on a line of its own, which both policies mask. */
const BARE = /^(?:4111 1111 1111 1111|5500-0000-0000-0004|anna\.lee@example\.com)$/m

type Channel = 'text-delta' | 'reasoning-delta' | 'tool-call-delta'

/** What is on the wire of one choice whose text comes in these chunks. */
async function emitted(policy: GuardrailPolicy, chunks: readonly string[], channel: Channel, isBuffered = false): Promise<string> {
  const compiled = compilePolicy(policy, NO_MODELS)
  const judge = compiled.judgeOf('output', [])
  const gate = new ChoiceGate({
    choice: 0,
    rules: compiled.spans.output,
    judges: { answer: judge, aside: judge },
    blockedMessage: '[BLOCKED]',
    streaming: 'sync',
    isBuffered,
    signal: new AbortController().signal,
  })
  let wire = ''
  const show = async (event: Parameters<ChoiceGate['push']>[0]): Promise<void> => {
    for (const own of await gate.push(event)) {
      if (own.type === 'text-delta' || own.type === 'reasoning-delta') wire += own.text
      if (own.type === 'tool-call-delta') wire += own.argumentsText
    }
  }
  for (const text of chunks) {
    if (channel === 'tool-call-delta') await show({ type: channel, choice: 0, toolCall: 0, argumentsText: text })
    else await show({ type: channel, choice: 0, text, logprobs: null })
  }
  await show({ type: 'choice-end', choice: 0, finishReason: 'stop', stopString: null })
  return wire
}

function chunksOf(text: string, cuts: readonly number[]): string[] {
  const at = [...new Set(cuts.map((cut) => Math.floor(cut * text.length)))].sort((a, b) => a - b)
  return [0, ...at].map((from, index) => text.slice(from, at[index] ?? text.length)).filter((chunk) => chunk !== '')
}

const texts = fc.array(
  fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...PARTS) }, { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 12 }) }),
  {
    minLength: 1,
    maxLength: 60,
  },
)

/** Blocked or masked wherever they stand, by their look alone: nothing of the detectors is used. */
const FORBIDDEN = ['kill[ \\u200b]{1,4}switch', 'bluebird', 'project {1,4}falcon'].map(
  (words) => new RegExp(String.raw`(?<![\p{L}\p{N}_])${words}(?![\p{L}\p{N}_])`, 'iu'),
)

test.each([
  ['masks', MASKING, 2500],
  ['blocks', BLOCKING, 4000],
  ['patterns', PATTERNS, 2500],
  ['topics', TOPIC, 1000],
] as const)(
  'for any chunking of a text the wire is the same and bears nothing that is blocked: %s',
  async (_, policy, numRuns) => {
    await fc.assert(
      fc.asyncProperty(
        texts,
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 40 }),
        fc.constantFrom<Channel>('text-delta', 'reasoning-delta', 'tool-call-delta'),
        async (parts, cuts, channel) => {
          const text = parts.join('')
          const whole = await emitted(policy, [text], channel)
          expect(await emitted(policy, chunksOf(text, cuts), channel)).toBe(whole)
          expect(whole).not.toMatch(BARE)
          // A placeholder ends words as little as what it stands for.
          const wire = whole.replaceAll(/\{\w+\}|\*\*\*/g, 'x')
          for (const forbidden of policy === BLOCKING || policy === PATTERNS ? FORBIDDEN : FORBIDDEN.slice(0, 1)) expect(wire).not.toMatch(forbidden)
        },
      ),
      { numRuns, seed: 20261201 },
    )
  },
  300_000,
)

test('a character at a time says what the whole text says', async () => {
  for (const [policy, text] of [
    [MASKING, `write to anna.lee@example.com or pay 4111 1111 1111 1111 ${'x'.repeat(5000)} bob@example.org ${'1'.repeat(3000)}`],
    [PATTERNS, `${'secret-1'.repeat(90)} ${'lorem ipsum '.repeat(60)} secret-${'7'.repeat(400)} end`],
    [BLOCKING, `${'kill '.repeat(400)}kill  switch`],
  ] as const) {
    for (const channel of ['text-delta', 'tool-call-delta'] as const) {
      expect(await emitted(policy, [...text], channel)).toBe(await emitted(policy, [text], channel))
    }
  }
})

test('a card is found behind any row of other numbers', async () => {
  expect(await emitted(MASKING, ['1 2 3 4 5 7 4111 1111 1111 1111 9'], 'text-delta')).toBe('1 2 3 4 5 7 {CREDIT_DEBIT_CARD_NUMBER} 9')
})

test('arguments are read as their JSON says them', async () => {
  const args = String.raw`{"to":"\u0061nna@example.com","note":"x\nbob@example.org"}`
  expect(await emitted(MASKING, [...args], 'tool-call-delta')).toBe(String.raw`{"to":"{EMAIL}","note":"x\n{EMAIL}"}`)
})

test('what is not streamed is replaced as a whole', async () => {
  expect(await emitted(BLOCKING, ['a long and harmless begin, then the kill switch'], 'text-delta', true)).toBe('[BLOCKED]')
})

test('quiet text is held back for no longer than its last word', async () => {
  const compiled = compilePolicy(BLOCKING, NO_MODELS)
  const judges = { answer: null, aside: null }
  const options = { choice: 0, rules: compiled.spans.output, judges, blockedMessage: '', isBuffered: false, signal: new AbortController().signal }
  const gate = new ChoiceGate({ ...options, streaming: 'sync' })
  const shown = await gate.push({ type: 'text-delta', choice: 0, text: 'all of this is said at once, but not thi', logprobs: null })
  expect(shown).toEqual([{ type: 'text-delta', choice: 0, text: 'all of this is said at once, but not ', logprobs: null }])
})

test('an empty policy looks for nothing', () => {
  expect(compilePolicy(EMPTY_POLICY, NO_MODELS).spans).toEqual({ input: null, output: null })
})
