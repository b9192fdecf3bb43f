/**
 * Mutated tokenizers, templates and texts: whatever a stranger's file or message holds, the outcome is a value or an InferdError, soon, in bounded
 * memory. Seeded: a failure names its round.
 */
import { describe, expect, test } from 'vitest'
import { assert } from '#base/assert'
import { type Random, SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import { ChatTemplate } from '#engine/chat-format/chat-template'
import { renderChat } from '#engine/chat-format/render-chat'
import type { GgufValue } from '#engine/models/architecture'
import { byteCharacter } from '#engine/tokenizers/byte-alphabet'
import { Detokenizer } from '#engine/tokenizers/detokenizer'
import { loadTokenizerFromFolder, loadTokenizerFromGguf } from '#engine/tokenizers/load-tokenizer'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'

const NUM_JSON_ROUNDS = 24_000
const NUM_GGUF_ROUNDS = 16_000
const NUM_TEMPLATE_ROUNDS = 24_000
const MAX_HEAP_GROWTH_BYTES = 512 * 1024 * 1024

const TEXT = 'Hello wörld 12 <s> 今\n\n\u0301x'

/** What may stand anywhere in a hostile file. */
const HOSTILE_VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  2 ** 31,
  2 ** 53,
  4_194_304,
  Number.NaN,
  '',
  'x',
  '\ud800',
  'a'.repeat(5000),
  '<0x41>',
  '\u2581',
  '(a+)+$',
  ' {2,}',
  'Sequence',
  'ByteLevel',
  'Metaspace',
  'Split',
  'NFC',
  'Unigram',
  'WordPiece',
  'BPE',
  [],
  [[]],
  [null],
  ['a', 'b'],
  [0, 1, 2],
  {},
  { type: 'Sequence' },
  { a: 1 },
  { type: 'Replace', pattern: { Regex: '(x+x+)+y' }, content: 'z' },
  { type: 'Split', pattern: { Regex: '(x+x+)+y' }, behavior: 'Isolated', invert: false },
]

describe('tokenizer.json', () => {
  test(`${NUM_JSON_ROUNDS} mutations load and encode, or are refused`, () => {
    const random = new SeededRandom(1)
    const sources = jsonSources()
    const outcome = countOutcomes(NUM_JSON_ROUNDS, (round) => {
      let tokenizerJson: unknown = sources[round % sources.length]
      for (let count = 1 + random.nextInt(3); count > 0; count -= 1) tokenizerJson = mutateTree(tokenizerJson, random)
      exercise(
        loadTokenizerFromFolder({
          tokenizerJson,
          tokenizerConfig: random.nextInt(4) === 0 ? mutateTree({ bos_token: '<s>', eos_token: { content: '</s>' } }, random) : null,
        }),
      )
    })
    expect(outcome.numAccepted).toBeGreaterThan(NUM_JSON_ROUNDS / 20)
    expect(outcome.numRefused).toBeGreaterThan(NUM_JSON_ROUNDS / 20)
  })
})

describe('GGUF metadata', () => {
  test(`${NUM_GGUF_ROUNDS} mutations load and encode, or are refused`, () => {
    const random = new SeededRandom(2)
    const sources = ggufSources()
    const outcome = countOutcomes(NUM_GGUF_ROUNDS, (round) => {
      const values = new Map(sources[round % sources.length]!)
      for (let count = 1 + random.nextInt(2); count > 0; count -= 1) mutateValues(values, random)
      exercise(loadTokenizerFromGguf(values))
    })
    expect(outcome.numAccepted).toBeGreaterThan(NUM_GGUF_ROUNDS / 20)
    expect(outcome.numRefused).toBeGreaterThan(NUM_GGUF_ROUNDS / 20)
  })
})

describe('chat templates', () => {
  test(`${NUM_TEMPLATE_ROUNDS} mutations render within their limits, or are refused`, () => {
    const random = new SeededRandom(3)
    const tokenizer = loadTokenizerFromFolder({ tokenizerJson: jsonSources()[0], tokenizerConfig: null })
    const outcome = countOutcomes(NUM_TEMPLATE_ROUNDS, () => {
      const template = ChatTemplate.compile(mutateTemplate(random), { maxSteps: 20_000, maxOutputLength: 20_000 })
      const { tokenIds: ids } = renderChat(template, tokenizer, [
        { role: 'system', content: 'be <s> brief' },
        { role: 'user', content: TEXT },
        { role: 'assistant', content: ' yes </s>', name: 'n' },
      ])
      assert(ids.length < 200_000, 'prompt beyond the output limit')
    })
    expect(outcome.numAccepted).toBeGreaterThan(NUM_TEMPLATE_ROUNDS / 20)
    expect(outcome.numRefused).toBeGreaterThan(NUM_TEMPLATE_ROUNDS / 20)
  })
})

/** Anything but a value or an InferdError fails the test with the round's number. */
function countOutcomes(numRounds: number, work: (round: number) => void): { readonly numAccepted: number; readonly numRefused: number } {
  let numAccepted = 0
  let numRefused = 0
  const heapBefore = process.memoryUsage().heapUsed
  for (let round = 0; round < numRounds; round += 1) {
    try {
      work(round)
      numAccepted += 1
    } catch (error) {
      if (!(error instanceof InferdError)) throw new Error(`round ${round}: not an InferdError`, { cause: error })
      expect(error.message.length).toBeLessThan(1000)
      numRefused += 1
    }
    if (round % 1000 === 0) expect(process.memoryUsage().heapUsed - heapBefore).toBeLessThan(MAX_HEAP_GROWTH_BYTES)
  }
  return { numAccepted, numRefused }
}

function exercise(tokenizer: Tokenizer): void {
  for (const parseSpecial of [true, false]) {
    const ids = tokenizer.encode(TEXT, { parseSpecial, addSpecial: parseSpecial })
    const detokenizer = new Detokenizer(tokenizer)
    for (const id of ids) {
      assert(id >= 0 && id < tokenizer.vocabSize, 'id beyond the vocabulary')
      detokenizer.push(id)
    }
    detokenizer.finish()
  }
  for (const id of tokenizer.eosTokenIds) assert(id < tokenizer.vocabSize, 'end token beyond the vocabulary')
}

function jsonSources(): unknown[] {
  const byteVocabulary: Record<string, number> = Object.fromEntries(Array.from({ length: 256 }, (_, byte) => [byteCharacter(byte), byte]))
  const added = [
    { id: 258, content: '<s>', special: true, single_word: false, lstrip: false, rstrip: true, normalized: false },
    { id: 259, content: '</s>', special: true },
    { id: 260, content: '<tool>', special: false, lstrip: true },
  ]
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, use_regex: true }
  const pieces: Record<string, number> = {
    '<unk>': 0,
    '<s>': 1,
    '\u2581': 2,
    H: 3,
    e: 4,
    l: 5,
    o: 6,
    ll: 7,
    llo: 8,
    '\u2581H': 9,
    w: 10,
    '\n': 11,
    '\n\n': 12,
  }
  const piecesAdded = [
    { id: 0, content: '<unk>', special: true },
    { id: 1, content: '<s>', special: true },
  ]
  const frame = {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>' } }, { Sequence: { id: 'A' } }],
    special_tokens: { '<s>': { ids: [1] } },
  }
  return [
    {
      added_tokens: added,
      normalizer: { type: 'NFC' },
      pre_tokenizer: byteLevel,
      post_processor: { type: 'ByteLevel' },
      decoder: { type: 'ByteLevel' },
      model: { type: 'BPE', vocab: { ...byteVocabulary, He: 256, ll: 257 }, merges: ['H e', ['l', 'l']], ignore_merges: true },
    },
    {
      added_tokens: piecesAdded,
      normalizer: {
        type: 'Sequence',
        normalizers: [
          { type: 'Prepend', prepend: '\u2581' },
          { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' },
        ],
      },
      pre_tokenizer: null,
      post_processor: frame,
      decoder: { type: 'Sequence', decoders: [{ type: 'Strip', content: ' ', start: 1 }] },
      model: { type: 'BPE', unk_token: '<unk>', fuse_unk: true, vocab: pieces, merges: ['l l', 'll o', '\u2581 H', '\n \n'] },
    },
    {
      added_tokens: piecesAdded,
      normalizer: { type: 'NFKC' },
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [{ type: 'WhitespaceSplit' }, { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'always' }],
      },
      model: { type: 'Unigram', unk_id: 0, vocab: Object.keys(pieces).map((text, id) => [text, -id]) },
    },
    {
      added_tokens: [{ id: 0, content: '[UNK]', special: true }],
      normalizer: { type: 'BertNormalizer', lowercase: true },
      pre_tokenizer: { type: 'BertPreTokenizer' },
      post_processor: { type: 'BertProcessing', sep: ['[SEP]', 1], cls: ['[CLS]', 2] },
      model: { type: 'WordPiece', unk_token: '[UNK]', vocab: { '[UNK]': 0, '[SEP]': 1, '[CLS]': 2, he: 3, '##l': 4, '##lo': 5, w: 6 } },
    },
  ]
}

function ggufSources(): Map<string, GgufValue>[] {
  const bytes = Array.from({ length: 256 }, (_, byte) => byteCharacter(byte))
  const fallbackBytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)
  const pieces = ['<unk>', '<s>', '</s>', ...fallbackBytes, '\u2581', 'H', 'e', 'l', 'o', 'll', 'llo', '\u2581H', 'w']
  const pieceTypes = Int32Array.from(pieces, (_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1))
  const key = (name: string) => `tokenizer.ggml.${name}`
  const pieceValues = (model: string): Map<string, GgufValue> =>
    new Map<string, GgufValue>([
      [key('model'), model],
      [key('tokens'), pieces],
      [key('scores'), Float32Array.from(pieces, (_, id) => -id)],
      [key('token_type'), pieceTypes],
      [key('bos_token_id'), 1],
      [key('eos_token_id'), 2],
      [key('add_space_prefix'), true],
    ])
  return [
    new Map<string, GgufValue>([
      [key('model'), 'gpt2'],
      [key('pre'), 'qwen2'],
      [key('tokens'), [...bytes, 'He', 'll', '<s>', '</s>']],
      [key('token_type'), Int32Array.from({ length: 260 }, (_, id) => (id < 258 ? 1 : 3))],
      [key('merges'), ['H e', 'l l']],
      [key('bos_token_id'), 258],
      [key('eos_token_id'), 259],
      [key('add_bos_token'), true],
    ]),
    pieceValues('llama'),
    pieceValues('t5'),
    pieceValues('bert'),
  ]
}

/** A copy with one place changed; what is not on the way to it is shared. */
function mutateTree(node: unknown, random: Random): unknown {
  if (typeof node !== 'object' || node === null || random.nextInt(8) === 0) return HOSTILE_VALUES[random.nextInt(HOSTILE_VALUES.length)]
  if (Array.isArray(node)) {
    const copy: unknown[] = [...node]
    const index = random.nextInt(copy.length + 1)
    const kind = random.nextInt(4)
    if (kind === 0) copy.splice(index, 1)
    else if (kind === 1) copy.splice(index, 0, copy[random.nextInt(copy.length)] ?? null)
    else if (index < copy.length) copy[index] = mutateTree(copy[index], random)
    return copy
  }
  const copy: Record<string, unknown> = { ...node }
  const keys = Object.keys(copy)
  const chosen = keys[random.nextInt(keys.length)]
  if (chosen === undefined || random.nextInt(10) === 0) copy[['constructor', '__proto__', 'x', 'é', '\ud800'][random.nextInt(5)]!] = 3
  else if (random.nextInt(8) === 0) delete copy[chosen]
  else copy[chosen] = mutateTree(copy[chosen], random)
  return copy
}

function mutateValues(values: Map<string, GgufValue>, random: Random): void {
  const keys = [...values.keys()]
  const key = keys[random.nextInt(keys.length)]!
  const value = values.get(key)!
  const kind = random.nextInt(6)
  if (kind === 0) values.delete(key)
  else if (kind === 1)
    values.set(key, [true, 'x', -5, 1e9, 7n, 2 ** 32 - 1, Uint8Array.of(1, 2), [], ['a'], '', 'smollm', 'no-such-pre'][random.nextInt(12)]!)
  else if (Array.isArray(value))
    values.set(
      key,
      mutateStrings(
        value.filter((item) => typeof item === 'string'),
        random,
      ),
    )
  else if (value instanceof Float32Array || value instanceof Int32Array) values.set(key, mutateNumbers(value, random))
}

function mutateStrings(value: readonly string[], random: Random): string[] {
  const copy = [...value]
  const index = random.nextInt(copy.length + 1)
  const hostile = ['', ' ', 'a', 'a b', 'no such', '\u2581', 'x'.repeat(70_000), '\ud800', 'é é', '<0x4', copy[random.nextInt(copy.length)] ?? '']
  copy.splice(index, random.nextInt(2), ...Array.from({ length: random.nextInt(3) }, () => hostile[random.nextInt(hostile.length)]!))
  return copy
}

function mutateNumbers(value: Float32Array | Int32Array, random: Random): Float32Array | Int32Array {
  const copy = random.nextInt(5) === 0 ? value.slice(0, random.nextInt(value.length + 1)) : value.slice()
  for (let count = random.nextInt(4); count > 0; count -= 1)
    copy[random.nextInt(copy.length)] = [0, -1, 99, Number.NaN, Infinity, 1e30, 3, 4][random.nextInt(8)]!
  return copy
}

const TEMPLATES = [
  "{{ bos_token }}{% for message in messages %}{{ '<s>' + message['role'] + '\\n' + message['content'] | trim + '</s>' }}{% endfor %}{% if add_generation_prompt %}<s>assistant{% endif %}",
  "{%- set ns = namespace(n=0) %}{% macro m(x, y=1) %}({{ x ~ y }}){% endmacro %}{% for m2 in messages[::-1] if m2.role != 'x' %}{% set ns.n = ns.n + 1 %}{{ m(m2.content) }}{% else %}none{% endfor %}{{ ns.n }}",
  "{% set text %}{{ messages | tojson(indent=2) }}{% endset %}{{ text.split('\"')[1:3] | join(', ') }}{{ messages | map(attribute='content') | list | length }}",
]
const SNIPPETS = [
  '{{',
  '}}',
  '{%',
  '%}',
  '{#',
  '-',
  '(',
  ')',
  '[',
  ']',
  '|',
  '.',
  ',',
  "'",
  '"',
  ' in ',
  ' not ',
  ' is ',
  ' if ',
  ' else ',
  'messages',
  'range(999999)',
  'range(500)',
  'loop',
  'ns.n',
  'namespace()',
  '{% for a in range(300) %}',
  '{% endfor %}',
  '{% if true %}',
  '{% endif %}',
  '| tojson',
  '| join(messages[1].content)',
  ".replace('', messages[1].content)",
  '~',
  '**',
  ' * ',
  '99999999999',
  '[::-1]',
  '.__proto__',
  ".constructor('x')()",
  '{% set ns.n = [ns.n, ns.n] %}',
  '{{ m(m) }}',
  '{% macro m(x) %}',
  '{% endmacro %}',
  '{% break %}',
  '\u0000',
  '\ufffe',
  '\ud800',
]

function mutateTemplate(random: Random): string {
  let source = TEMPLATES[random.nextInt(TEMPLATES.length)]!
  for (let count = 1 + random.nextInt(4); count > 0; count -= 1) {
    const at = random.nextInt(source.length + 1)
    const kind = random.nextInt(4)
    if (kind === 0) source = source.slice(0, at) + source.slice(at + 1 + random.nextInt(6))
    else if (kind === 1) source = source.slice(0, at) + source.slice(random.nextInt(source.length + 1), at + random.nextInt(40)) + source.slice(at)
    else source = source.slice(0, at) + SNIPPETS[random.nextInt(SNIPPETS.length)]! + source.slice(at)
  }
  return source
}
