import { appendFile, mkdir, mkdtemp, readFile, rename, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { writeGguf, type TypedValue } from './gguf/gguf-writer.ts'
import { inspectModelFile } from './inspect.ts'
import { openModelFiles, type ModelFiles } from './model-files.ts'

let folder = ''
const opened: ModelFiles[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inferd-weights-'))
})

afterEach(async () => {
  for (const model of opened.splice(0)) await model.tensors.close()
  await rm(folder, { recursive: true })
})

async function openModel(path: string): Promise<ModelFiles> {
  const model = await openModelFiles(path)
  opened.push(model)
  return model
}

async function refusal(path: string): Promise<InferdError> {
  const outcome = await openModelFiles(path).catch((error: unknown) => error)
  if (outcome instanceof InferdError) return outcome
  throw new TypeError('the model was opened', { cause: outcome })
}

interface SampleOptions {
  readonly extra?: readonly (readonly [string, TypedValue])[]
  readonly names?: readonly string[]
  readonly fill?: number
}

/** A GGUF of small f32 tensors, each holding `fill`. */
async function writeSample(name: string, { extra = [], names = ['token_embd.weight'], fill = 1 }: SampleOptions = {}): Promise<string> {
  const path = join(folder, name)
  const metadata = new Map<string, TypedValue>([['general.architecture', { type: 'string', value: 'llama' }], ...extra])
  const tensors = names.map((one) => ({ name: one, dtype: 'f32' as const, shape: [4, 64] }))
  await writeGguf(path, { metadata, tensors, writeData: (_, write) => write(new Uint8Array(new Float32Array(256).fill(fill).buffer)) })
  return path
}

function splitKeys(index: number, count: number, numTensors: number): readonly (readonly [string, TypedValue])[] {
  return [
    ['split.no', { type: 'uint16', value: index }],
    ['split.count', { type: 'uint16', value: count }],
    ['split.tensors.count', { type: 'int32', value: numTensors }],
  ]
}

async function writeSafetensors(name: string, tensors: Record<string, number>): Promise<void> {
  const table: Record<string, unknown> = {}
  let end = 0
  for (const [tensor, length] of Object.entries(tensors)) table[tensor] = { dtype: 'F32', shape: [length], data_offsets: [end, (end += length * 4)] }
  const json = Buffer.from(JSON.stringify(table))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  await writeFile(join(folder, name), Buffer.concat([length, json, Buffer.alloc(end)]))
}

async function writeConfig(): Promise<void> {
  await writeFile(join(folder, 'config.json'), JSON.stringify({ architectures: ['LlamaForCausalLM'], hidden_size: 4 }))
}

test('a GGUF file opens with its metadata, template and weights', async () => {
  const path = await writeSample('m.gguf', { extra: [['tokenizer.chat_template', { type: 'string', value: '{{ x }}' }]], fill: 2.5 })
  const model = await openModel(path)
  expect(model.metadata.format).toBe('gguf')
  expect(model.tokenizerSource.kind).toBe('gguf')
  expect(model.chatTemplate).toBe('{{ x }}')
  const info = model.tensors.tensors.get('token_embd.weight')!
  expect(info.shape).toEqual([4, 64])
  const bytes = await model.tensors.readTensor(info, { byteStart: 256, byteLength: 8 })
  expect([...new Float32Array(bytes.buffer)]).toEqual([2.5, 2.5])
})

test('a scratch buffer takes what fits into it, and nothing else', async () => {
  const model = await openModel(await writeSample('m.gguf', { fill: 2 }))
  const info = model.tensors.tensors.get('token_embd.weight')!
  const scratch = new Uint8Array(512)
  const head = await model.tensors.readTensor(info, { byteStart: 0, byteLength: 512 }, scratch)
  expect(head.buffer).toBe(scratch.buffer)
  expect(new Float32Array(scratch.buffer)[127]).toBe(2)
  const whole = await model.tensors.readTensor(info, undefined, scratch)
  expect(whole.buffer).not.toBe(scratch.buffer)
  expect(whole.length).toBe(1024)
})

test('a folder with one GGUF opens it, a folder with two names both', async () => {
  await writeSample('a.gguf')
  expect((await openModel(folder)).tensors.tensors.size).toBe(1)
  await writeSample('b.gguf')
  const error = await refusal(folder)
  expect(error.message).toContain('give the path of one: a.gguf, b.gguf')
})

test('an empty folder, a missing path and a shard without its config.json are refused in plain words', async () => {
  expect((await refusal(folder)).message).toContain('neither a .gguf file nor safetensors')
  expect((await refusal(join(folder, 'none.gguf'))).message).toBe('none.gguf: cannot be opened (ENOENT)')
  await writeSafetensors('model.safetensors', { a: 4 })
  expect((await refusal(join(folder, 'model.safetensors'))).message).toContain('config.json')
})

test('messages never hold the folder of a file', async () => {
  await writeFile(join(folder, 'bad.gguf'), 'GGUFxxxxxxxxxxxxxxxxxxxxxxxx')
  expect((await refusal(join(folder, 'bad.gguf'))).message).not.toContain(folder)
})

test('a split GGUF opens from any of its parts and reads across them', async () => {
  for (let index = 0; index < 3; index++) {
    await writeSample(`m-0000${index + 1}-of-00003.gguf`, { extra: splitKeys(index, 3, 3), names: [`t${index}.weight`], fill: index })
  }
  for (const path of [join(folder, 'm-00001-of-00003.gguf'), join(folder, 'm-00003-of-00003.gguf'), folder]) {
    const model = await openModel(path)
    const last = model.tensors.tensors.get('t2.weight')!
    expect(last.fileIndex).toBe(2)
    expect(new Float32Array((await model.tensors.readTensor(last)).buffer)[0]).toBe(2)
  }
})

test('a split GGUF with a part missing, swapped or miscounted is refused', async () => {
  const first = await writeSample('m-00001-of-00002.gguf', { extra: splitKeys(0, 2, 2), names: ['a.weight'] })
  const second = join(folder, 'm-00002-of-00002.gguf')
  expect((await refusal(first)).message).toBe('m-00002-of-00002.gguf: cannot be opened (ENOENT)')
  await writeSample('m-00002-of-00002.gguf', { extra: splitKeys(0, 2, 2), names: ['b.weight'] })
  expect((await refusal(second)).message).toContain('split.no is 0 in part 1')
  await writeSample('m-00002-of-00002.gguf', { extra: splitKeys(1, 2, 5), names: ['b.weight'] })
  expect((await refusal(first)).message).toContain('split.tensors.count is')
  await writeSample('m-00002-of-00002.gguf', { extra: splitKeys(1, 2, 2), names: ['a.weight'] })
  expect((await refusal(first)).message).toContain('tensor "a.weight" is also in an earlier part')
  await rename(first, join(folder, 'renamed.gguf'))
  expect((await refusal(join(folder, 'renamed.gguf'))).message).toContain("which the file's name does not say")
})

test('a GGUF without an architecture is refused (69)', async () => {
  const path = await writeSample('m.gguf', { extra: [['general.architecture', { type: 'uint32', value: 3 }]] })
  expect((await refusal(path)).message).toContain('"general.architecture" is missing or not a string')
})

test('where GGUF and safetensors lie in one folder, the path of either file opens it', async () => {
  await writeConfig()
  await writeSafetensors('model.safetensors', { 'a.weight': 4 })
  await writeSample('m.gguf')
  expect((await refusal(folder)).message).toContain('give the path of one: m.gguf, model.safetensors')
  expect((await openModel(join(folder, 'model.safetensors'))).tensors.format).toBe('safetensors')
  expect((await openModel(join(folder, 'm.gguf'))).tensors.format).toBe('gguf')
})

test('a safetensors folder opens with what lies beside it', async () => {
  await writeConfig()
  await writeSafetensors('model.safetensors', { 'a.weight': 4 })
  await writeFile(join(folder, 'tokenizer.json'), '{"model":{"vocab":{"__proto__":0,"constructor":1}}}')
  await writeFile(
    join(folder, 'tokenizer_config.json'),
    JSON.stringify({
      chat_template: [
        { name: 'rag', template: 'no' },
        { name: 'default', template: 'yes' },
      ],
    }),
  )
  await writeFile(join(folder, 'generation_config.json'), '{"eos_token_id":[1,2]}')
  const model = await openModel(folder)
  expect(model.tensors.tensors.get('a.weight')).toMatchObject({ dtype: 'f32', shape: [4] })
  expect(model.generationConfig).toEqual({ eos_token_id: [1, 2] })
  expect(model.chatTemplate).toBe('yes')
  const source = model.tokenizerSource as { readonly tokenizerJson: { readonly model: { readonly vocab: object } } }
  expect(Object.keys(source.tokenizerJson.model.vocab)).toEqual(['__proto__', 'constructor'])
  await writeFile(join(folder, 'chat_template.jinja'), 'from the file')
  expect((await openModel(folder)).chatTemplate).toBe('from the file')
})

test('shards named by an index are joined', async () => {
  await writeConfig()
  await writeSafetensors('model-00001-of-00002.safetensors', { a: 4 })
  await writeSafetensors('model-00002-of-00002.safetensors', { b: 8 })
  await writeFile(
    join(folder, 'model.safetensors.index.json'),
    JSON.stringify({ weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' } }),
  )
  const model = await openModel(folder)
  expect([...model.tensors.tensors.values()].map((one) => [one.name, one.fileIndex])).toEqual([
    ['a', 0],
    ['b', 1],
  ])
})

test.each(['../../x.safetensors', '/etc/x.safetensors', 'a/b.safetensors', '..\\x.safetensors', '.safetensors', 'x.bin', 'x\u0000.safetensors', 7])(
  'an index that names %j is refused (71)',
  async (shard) => {
    await writeConfig()
    await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: { a: shard } }))
    const error = await refusal(folder)
    expect(error.code).toBe('invalid_model_file')
    expect(error.message).toContain('not a plain safetensors file name')
  },
)

test('a shard that is missing, lacks its tensor or shares one is refused (71)', async () => {
  await writeConfig()
  const index = join(folder, 'model.safetensors.index.json')
  await writeFile(index, JSON.stringify({ weight_map: { a: 'one.safetensors', b: 'two.safetensors' } }))
  await writeSafetensors('one.safetensors', { a: 4 })
  expect((await refusal(folder)).message).toBe('two.safetensors: cannot be opened (ENOENT)')
  await writeSafetensors('two.safetensors', { c: 4 })
  expect((await refusal(folder)).message).toContain('tensor "b" is not in two.safetensors')
  await writeSafetensors('two.safetensors', { a: 4, b: 4 })
  expect((await refusal(folder)).message).toContain('tensor "a" is in two shards')
  await rm(index)
  expect((await refusal(folder)).message).toContain('2 safetensors files (one.safetensors, two.safetensors)')
})

test('a configuration that is missing, too deep or not JSON is refused (71, 72)', async () => {
  await writeSafetensors('model.safetensors', { a: 4 })
  expect((await refusal(folder)).message).toContain('config.json: missing')
  await writeFile(join(folder, 'config.json'), `{"a":${'['.repeat(100_000)}`)
  expect((await refusal(folder)).message).toContain('config.json: nested deeper than 64 at byte')
  await writeFile(join(folder, 'config.json'), '{"a":1,}')
  expect((await refusal(folder)).message).toBe('config.json: not valid JSON')
  await writeConfig()
  await writeFile(join(folder, 'tokenizer.json'), Buffer.from([0x22, 0xff, 0x22]))
  expect((await refusal(folder)).message).toBe('tokenizer.json: not valid UTF-8')
})

test('one flipped byte in the weights is found by the digest beside the file (75)', async () => {
  const path = await writeSample('m.gguf')
  const bytes = await readFile(path)
  const digest = createHash('sha256').update(bytes).digest('hex')
  await writeFile(`${path}.sha256`, `${digest.toUpperCase()}  m.gguf\n`)
  await openModel(path)
  bytes[bytes.length - 5]! ^= 0x10
  await writeFile(path, bytes)
  const error = await refusal(path)
  expect(error.code).toBe('invalid_model_file')
  expect(error.message).toContain(`expected ${digest}, got ${createHash('sha256').update(bytes).digest('hex')}`)
  await writeFile(`${path}.sha256`, 'no digest')
  expect((await refusal(path)).message).toContain('does not begin with 64 hexadecimal digits')
})

test('a file that is truncated, grown or rewritten under an open model is an error with its name (76)', async () => {
  const path = await writeSample('m.gguf')
  const model = await openModel(path)
  const info = model.tensors.tensors.get('token_embd.weight')!
  await model.tensors.readTensor(info)
  await appendFile(path, 'x')
  await expect(model.tensors.readTensor(info)).rejects.toThrow(/m\.gguf: size changed from \d+ to \d+ bytes/)
  await truncate(path, info.byteOffset + 100)
  await expect(model.tensors.readTensor(info)).rejects.toThrow(/m\.gguf: ends at byte \d+, 924 bytes short/)
})

test('a file of the same size written again under an open model is an error with its name (76)', async () => {
  const path = await writeSample('m.gguf')
  const model = await openModel(path)
  await utimes(path, 1, 1)
  await expect(model.tensors.readTensor(model.tensors.tensors.get('token_embd.weight')!)).rejects.toThrow('m.gguf: was rewritten')
})

test('a tensor that memory cannot hold is refused with its need (77)', async () => {
  const model = await openModel(await writeSample('m.gguf'))
  const info = { ...model.tensors.tensors.get('token_embd.weight')!, byteLength: 2 ** 52 }
  await expect(model.tensors.readTensor(info)).rejects.toMatchObject({
    code: 'insufficient_memory',
    message: expect.stringContaining('4503599627370496 bytes') as string,
  })
})

test('links are followed, dead ones are refused by name', async () => {
  const path = await writeSample('m.gguf')
  await symlink(path, join(folder, 'link.gguf'))
  await openModel(join(folder, 'link.gguf'))
  await mkdir(join(folder, 'sub'))
  expect((await refusal(join(folder, 'sub'))).message).toContain('neither')
  await symlink(join(folder, 'nowhere'), join(folder, 'sub', 'dead.gguf'))
  expect((await refusal(join(folder, 'sub'))).message).toBe('dead.gguf: cannot be opened (ENOENT)')
})

test('the identity tells weights of one shape apart and stays the same otherwise', async () => {
  const one = await openModel(await writeSample('one.gguf', { fill: 1 }))
  const again = await openModel(await writeSample('again.gguf', { fill: 1 }))
  const other = await openModel(await writeSample('other.gguf', { fill: 3 }))
  expect(again.identity).toBe(one.identity)
  expect(other.identity).not.toBe(one.identity)
})

test('inspection lists metadata, tensors and totals, long values cut', async () => {
  const path = await writeSample('m.gguf', {
    names: ['a.weight', 'b.weight'],
    extra: [
      ['tokens', { type: 'strings', value: Array.from({ length: 1000 }, (_, i) => `t${i}`) }],
      ['text', { type: 'string', value: 'x'.repeat(5000) }],
    ],
  })
  const inspection = await inspectModelFile(path)
  expect(inspection).toMatchObject({
    format: 'gguf',
    version: 3,
    architecture: 'llama',
    totals: { numTensors: 2, parameters: 512, tensorBytes: 2048, bitsPerWeight: 32 },
  })
  expect(inspection.metadata[1]).toEqual({ key: 'tokens', kind: 'string[1000]', value: '["t0", "t1", "t2", "t3", "t4", "t5", …]' })
  expect(inspection.metadata[2]!.value.length).toBeLessThan(200)
  expect(inspection.dtypes).toEqual([{ dtype: 'f32', numTensors: 2, parameters: 512, byteLength: 2048 }])
})

test('inspection of a safetensors folder shows its configuration', async () => {
  await writeConfig()
  await writeSafetensors('model.safetensors', { a: 4 })
  expect(await inspectModelFile(folder)).toMatchObject({
    format: 'safetensors',
    architecture: 'LlamaForCausalLM',
    metadata: [{ key: 'architectures' }, { key: 'hidden_size', value: '4' }],
    totals: { parameters: 4 },
  })
})
