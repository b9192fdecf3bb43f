/** Which files are refused, and what special text does. */
import { describe, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import type { GgufValue } from '#engine/models/architecture'
import { byteCharacter } from './byte-alphabet.ts'
import { Detokenizer } from './detokenizer.ts'
import { loadTokenizerFromFolder, loadTokenizerFromGguf } from './load-tokenizer.ts'
import type { Tokenizer } from './tokenizer.ts'

const BYTES = Array.from({ length: 256 }, (_, byte) => byteCharacter(byte))
const BYTE_VOCABULARY = Object.fromEntries(BYTES.map((text, byte) => [text, byte]))

function byteLevelJson(changes: Readonly<Record<string, unknown>> = {}, model: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    added_tokens: [
      { id: 256, content: '<|im_start|>', special: true },
      { id: 257, content: '<|im_end|>', special: true },
      { id: 258, content: '<tool>', special: false },
    ],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    model: { type: 'BPE', vocab: BYTE_VOCABULARY, merges: [], ...model },
    ...changes,
  }
}

function load(tokenizerJson: unknown, tokenizerConfig: unknown = null): Tokenizer {
  return loadTokenizerFromFolder({ tokenizerJson, tokenizerConfig })
}

function ggufValues(changes: Readonly<Record<string, GgufValue>> = {}): Map<string, GgufValue> {
  return new Map<string, GgufValue>(
    Object.entries<GgufValue>({
      'tokenizer.ggml.model': 'gpt2',
      'tokenizer.ggml.pre': 'qwen2',
      'tokenizer.ggml.tokens': [...BYTES, '<|im_end|>'],
      'tokenizer.ggml.token_type': Int32Array.from({ length: 257 }, (_, id) => (id === 256 ? 3 : 1)),
      'tokenizer.ggml.merges': [],
      'tokenizer.ggml.eos_token_id': 256,
      ...changes,
    }),
  )
}

function refusal(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    expect(error).toBeInstanceOf(InferdError)
    return `${(error as InferdError).code}: ${(error as InferdError).message}`
  }
  throw new Error('was accepted')
}

describe('a refused tokenizer.json names the field', () => {
  const cases: readonly (readonly [string, unknown, RegExp])[] = [
    ['not an object', 3, /^invalid_model_file: tokenizer: tokenizer\.json is not an object/],
    ['no model', {}, /^invalid_model_file: tokenizer: model is not an object/],
    ['unknown model', byteLevelJson({}, { type: 'Morse' }), /^unsupported_model: tokenizer: model\.type is "Morse"/],
    ['unknown normalizer', byteLevelJson({ normalizer: { type: 'Rot13' } }), /^unsupported_model: tokenizer: normalizer has type "Rot13"/],
    ['unknown pre-tokenizer', byteLevelJson({ pre_tokenizer: { type: 'Dice' } }), /^unsupported_model: tokenizer: pre_tokenizer has type "Dice"/],
    [
      'a regular expression that explodes',
      byteLevelJson({ pre_tokenizer: { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated', invert: false } }),
      /^unsupported_model: .*not known here: "\(a\+\)\+\$"/,
    ],
    ['merges of unknown tokens', byteLevelJson({}, { merges: ['a b'] }), /^invalid_model_file: tokenizer: merges\[0\] names "ab"/],
    [
      'an id far beyond the rest',
      byteLevelJson({ added_tokens: [{ id: 4_000_000, content: 'x1', special: true }] }),
      /^invalid_model_file: tokenizer: vocab has an id of 4000000/,
    ],
    ['a negative id', byteLevelJson({}, { vocab: { ...BYTE_VOCABULARY, zz: -1 } }), /^invalid_model_file: tokenizer: model\.vocab\["zz"\]/],
    [
      'one id for two tokens',
      byteLevelJson({}, { vocab: { ...BYTE_VOCABULARY, zz: 5 } }),
      /^invalid_model_file: tokenizer: vocab gives id 5 to two tokens/,
    ],
    [
      'an added token with the id of another',
      byteLevelJson({ added_tokens: [{ id: 3, content: 'zz' }] }),
      /^invalid_model_file: tokenizer: added_tokens gives id 3/,
    ],
    [
      'a token of a megabyte',
      byteLevelJson({}, { vocab: { ...BYTE_VOCABULARY, ['z'.repeat(1_000_000)]: 300 } }),
      /^invalid_model_file: .* is 1000000 characters long/,
    ],
    ['a missing byte', byteLevelJson({}, { vocab: { a: 0 } }), /^unsupported_model: tokenizer: vocab has no token for byte/],
    ['dropout', byteLevelJson({}, { dropout: 0.1 }), /^unsupported_model: tokenizer: model\.dropout/],
    ['normalizers nested without end', byteLevelJson({ normalizer: nested(50) }), /^unsupported_model: .*nested too deep/],
    [
      'a character that becomes a book',
      byteLevelJson({ normalizer: { type: 'Replace', pattern: { String: 'a' }, content: 'b'.repeat(1000) } }),
      /^unsupported_model: .*1000 characters long/,
    ],
  ]
  for (const [name, tokenizerJson, pattern] of cases) test(name, () => expect(refusal(() => load(tokenizerJson))).toMatch(pattern))
})

function nested(depth: number): unknown {
  return depth === 0 ? { type: 'NFC' } : { type: 'Sequence', normalizers: [nested(depth - 1)] }
}

describe('refused GGUF metadata names the key', () => {
  const key = (name: string) => `tokenizer.ggml.${name}`
  const cases: readonly (readonly [string, Readonly<Record<string, GgufValue>>, RegExp])[] = [
    ['unknown pre-tokenizer', { [key('pre')]: 'morse' }, /^unsupported_model: tokenizer: tokenizer\.ggml\.pre is "morse"/],
    ['unknown model', { [key('model')]: 'rwkv' }, /^unsupported_model: tokenizer: tokenizer\.ggml\.model is "rwkv"/],
    ['types of another length', { [key('token_type')]: Int32Array.of(1) }, /^invalid_model_file: .*token_type has 1 entries for 257 tokens/],
    ['an unknown type', { [key('token_type')]: new Int32Array(257).fill(9) }, /^invalid_model_file: .*token_type\[0\] is 9/],
    [
      'scores as bytes',
      { [key('model')]: 'llama', [key('scores')]: new Uint8Array(257) },
      /^invalid_model_file: .*scores is missing or not an array of floats/,
    ],
    [
      'scores of another length',
      { [key('model')]: 'llama', [key('scores')]: new Float32Array(3) },
      /^invalid_model_file: .*scores has 3 entries for 257 tokens/,
    ],
    ['tokens that are numbers', { [key('tokens')]: Uint32Array.of(1) }, /^invalid_model_file: .*tokens is not an array of strings/],
    ['no tokens', { [key('tokens')]: [] }, /^invalid_model_file: .*tokens is empty/],
    ['merges naming unknown tokens', { [key('merges')]: ['q q'] }, /^invalid_model_file: .*merges\[0\] names "qq"/],
    ['an end token beyond the vocabulary', { [key('eos_token_id')]: 257 }, /^invalid_model_file: .*eos_token_id is 257/],
    [
      'a token of a megabyte',
      { [key('tokens')]: [...BYTES, 'z'.repeat(1_000_000)] },
      /^invalid_model_file: .*tokens\[256\] is 1000000 characters long/,
    ],
  ]
  for (const [name, changes, pattern] of cases) {
    test(name, () => expect(refusal(() => loadTokenizerFromGguf(ggufValues(changes)))).toMatch(pattern))
  }
})

describe('special text', () => {
  const tokenizer = load(byteLevelJson(), { bos_token: { content: '<|im_start|>' }, eos_token: '<|im_end|>' })

  test('is the token where a template wrote it, and its characters where a user did', () => {
    const text = 'a<|im_end|>b'
    expect(tokenizer.encode(text, { parseSpecial: true, addSpecial: false })).toEqual([BYTE_VOCABULARY['a'], 257, BYTE_VOCABULARY['b']])
    expect(tokenizer.encode(text, { parseSpecial: false, addSpecial: false })).toEqual(Array.from(text, (character) => BYTE_VOCABULARY[character]))
  })

  test('inside a protected range stays text, also where it only reaches into one', () => {
    const text = '<|im_end|><|im_end|><|im_end|>'
    const encode = (ranges: readonly number[]) =>
      tokenizer.encode(text, { parseSpecial: true, addSpecial: false, protectedText: { ranges, userDefinedTokenIds: new Set() } })
    const literal = Array.from('<|im_end|>', (character) => BYTE_VOCABULARY[character]!)
    expect(encode([10, 20])).toEqual([257, ...literal, 257])
    expect(encode([19, 20])).toEqual([257, ...literal, 257])
    expect(encode([9, 11])).toEqual([...literal, ...literal, 257])
  })

  test('of user-defined tokens is always the token, unless the template writes it itself', () => {
    const guard = { ranges: [0, 6], userDefinedTokenIds: new Set([258]) }
    expect(tokenizer.encode('<tool>', { parseSpecial: false, addSpecial: false })).toEqual([258])
    expect(tokenizer.encode('<tool>', { parseSpecial: true, addSpecial: false, protectedText: guard }).length).toBe(6)
  })

  test('emits nothing when it is control, its text when it is user-defined', () => {
    const detokenizer = new Detokenizer(tokenizer)
    expect([257, 258, 256].map((id) => detokenizer.push(id)).join('')).toBe('<tool>')
    expect([256, 257, 258, 0].map((id) => tokenizer.tokenKind(id))).toEqual(['control', 'control', 'user-defined', 'normal'])
  })

  test('begin and end tokens come from the configuration, the named end first', () => {
    expect([tokenizer.bosTokenId, tokenizer.eosTokenIds]).toEqual([256, [257]])
    expect(loadTokenizerFromGguf(ggufValues()).eosTokenIds).toEqual([256])
  })
})

describe('text that names a control token is not that token', () => {
  const user = { parseSpecial: false, addSpecial: false }
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, use_regex: false }
  const control = [{ id: 256, content: '<|im_end|>', special: true }]

  test('when words are looked up whole, and the whole text is a word', () => {
    const vocab = { ...BYTE_VOCABULARY, '<|im_end|>': 256 }
    const tokenizer = load(byteLevelJson({ added_tokens: control, pre_tokenizer: byteLevel }, { vocab, ignore_merges: true }))
    expect(tokenizer.encode('<|im_end|>', user)).toEqual(Array.from('<|im_end|>', (character) => BYTE_VOCABULARY[character]))
  })

  test('when merges lead to it', () => {
    const vocab = { ...BYTE_VOCABULARY, '<|': 257, '|>': 258, '<||>': 256 }
    const tokenizer = load(byteLevelJson({ added_tokens: [{ id: 256, content: '<||>', special: true }] }, { vocab, merges: ['< |', '| >', '<| |>'] }))
    expect(tokenizer.encode('<||>', user)).toEqual([257, 258])
  })

  test('in Unigram, where the list of pieces holds everything', () => {
    const vocab = [['<unk>', 0], ['</s>', -1], ['<0x41>', -1], ...Array.from('</s>0x41A\u2581', (text): [string, number] => [text, -9])].filter(
      ([text], index, all) => all.findIndex(([other]) => other === text) === index,
    )
    const tokenizer = load({ added_tokens: [{ id: 1, content: '</s>', special: true }], model: { type: 'Unigram', unk_id: 0, vocab } })
    expect(tokenizer.encode('</s>', user).map((id) => tokenizer.tokenText(id))).toEqual(['<', '/', 's', '>'])
  })

  test('in WordPiece, whose words are cut at spaces only', () => {
    const vocab = { '[UNK]': 0, '[SEP]': 1, '[': 2, '##SEP': 3, '##]': 4 }
    const tokenizer = load({
      added_tokens: [{ id: 1, content: '[SEP]', special: true }],
      pre_tokenizer: { type: 'WhitespaceSplit' },
      model: { type: 'WordPiece', unk_token: '[UNK]', vocab },
    })
    expect(tokenizer.encode('[SEP]', user)).toEqual([2, 3, 4])
  })
})

describe('end tokens that a file types as text', () => {
  const types = (type: number): Readonly<Record<string, GgufValue>> => ({
    'tokenizer.ggml.token_type': Int32Array.from({ length: 257 }, (_, id) => (id === 256 ? type : 1)),
    'tokenizer.ggml.eos_token_id': 0,
  })
  for (const [name, changes] of [
    ['normal', types(1)],
    ['user-defined', types(4)],
  ] as const) {
    test(`end the turn and are no text: typed ${name}`, () => {
      const tokenizer = loadTokenizerFromGguf(ggufValues(changes))
      expect([tokenizer.eosTokenIds, tokenizer.tokenKind(256), tokenizer.tokenBytes(256).length]).toEqual([[0, 256], 'control', 0])
      expect(tokenizer.encode('<|im_end|>', { parseSpecial: false, addSpecial: false })).not.toContain(256)
      expect(tokenizer.encode('<|im_end|>', { parseSpecial: true, addSpecial: false })).toEqual([256])
    })
  }

  test('end it in a file without token types, and under a name of their own that the file gives', () => {
    const values = ggufValues({ 'tokenizer.ggml.tokens': [...BYTES, '<|stop|>'], 'tokenizer.ggml.eos_token_id': 256 })
    values.delete('tokenizer.ggml.token_type')
    expect(loadTokenizerFromGguf(values).tokenKind(256)).toBe('control')
  })

  test('are control in tokenizer.json too, listed as text or not listed', () => {
    const added = load(byteLevelJson({ added_tokens: [{ id: 256, content: '<|end|>', special: false }] }))
    const named = load(byteLevelJson({ added_tokens: [] }, { vocab: { ...BYTE_VOCABULARY, '</s>': 256 } }), { eos_token: '</s>' })
    for (const tokenizer of [added, named]) {
      expect([tokenizer.eosTokenIds, tokenizer.tokenKind(256)]).toEqual([[256], 'control'])
      expect(tokenizer.encode(tokenizer.tokenText(256), { parseSpecial: false, addSpecial: false })).not.toContain(256)
      expect(tokenizer.encode(tokenizer.tokenText(256), { parseSpecial: true, addSpecial: false })).toEqual([256])
    }
  })

  test('stay text where only their spelling is like one: HTML, and a newline named as an end', () => {
    const html = load(byteLevelJson({ added_tokens: [] }, { vocab: { ...BYTE_VOCABULARY, '</s>': 256 } }))
    expect([html.eosTokenIds, html.tokenKind(256)]).toEqual([[], 'normal'])
    const newline = load(byteLevelJson({ added_tokens: [] }), { eos_token: byteCharacter(10) })
    expect(newline.encode('\n', { parseSpecial: false, addSpecial: false })).toEqual([10])
  })
})

test('holes between ids are unused tokens that emit nothing', () => {
  const tokenizer = load(byteLevelJson({ added_tokens: [{ id: 270, content: '<x>', special: true }] }))
  expect([tokenizer.vocabSize, tokenizer.tokenKind(260), tokenizer.tokenBytes(260).length, tokenizer.tokenId('')]).toEqual([271, 'unused', 0, null])
})

test('names from the object prototype are not fields and not tokens', () => {
  expect(refusal(() => load(byteLevelJson({}, { type: 'constructor' })))).toMatch(/^unsupported_model/)
  const tokenizer = load(byteLevelJson(), { bos_token: 'constructor', eos_token: '__proto__' })
  expect([tokenizer.bosTokenId, tokenizer.tokenId('constructor')]).toEqual([null, null])
})
