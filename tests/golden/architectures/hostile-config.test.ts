/**
 * Whatever one field of a sound model's configuration is changed to, the outcome is a valid program or an InferdError, at once.
 */
import { describe, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import type { GgufValue, ModelMetadata } from '#engine/models/architecture'
import { findArchitecture } from '#engine/models/registry'
import { openModelFiles } from '#engine/weights/model-files'
import type { TensorFile } from '#engine/weights/tensor-file'
import { readFixtures } from './fixtures.ts'

const HOSTILE: readonly unknown[] = [
  ...[undefined, null, true, false, '', 'x', 'yarn', 'longrope', 2n ** 63n, -1n],
  ...[0, -1, 1, 2, 7, 0.5, 1e-300, 1e6, 2 ** 31, 2 ** 53, 1e308, Number.NaN, -Infinity],
  ...[[], [0], ['x'], ['full_attention'], Array.from({ length: 2000 }, () => 1), new Float32Array(2)],
  ...[{}, { factor: -1 }, { rope_type: 'yarn' }, { rope_type: 'llama3', factor: 0 }, { full_attention: 3 }],
]

describe.for(readFixtures())('$name', (fixture) => {
  test.for(fixture.models)('$format', async ({ path }) => {
    const { tensors, metadata } = await openModelFiles(path)
    const surprises: string[] = []
    for (const [description, changed] of changedMetadata(metadata)) {
      const outcome = await outcomeOf(changed, tensors)
      if (outcome !== 'program' && outcome !== 'refused') surprises.push(`${description}: ${outcome}`)
    }
    await tensors.close()
    expect(surprises).toEqual([])
  })

  test.for(fixture.models)('$format: without any one of its tensors it is refused or falls back to a tied embedding', async ({ path }) => {
    const { tensors, metadata } = await openModelFiles(path)
    const accepted: string[] = []
    for (const name of tensors.tensors.keys()) {
      const rest = new Map([...tensors.tensors].filter(([other]) => other !== name))
      if ((await outcomeOf(metadata, fileWith(tensors, rest))) !== 'refused') accepted.push(name)
    }
    await tensors.close()
    const optional = /^(output|lm_head|rope_freqs)\.weight$|\.bias$/
    expect(accepted.filter((name) => !optional.test(name))).toEqual([])
  })
})

function* changedMetadata(metadata: ModelMetadata): Iterable<[string, ModelMetadata]> {
  if (metadata.format === 'gguf') {
    for (const key of [...metadata.values.keys(), 'llama.rope.scaling.type', 'llama.rope.scaling.factor']) {
      for (const value of HOSTILE)
        yield [`${key} = ${textOf(value)}`, { format: 'gguf', values: new Map([...metadata.values, [key, value as GgufValue]]) }]
    }
    return
  }
  for (const [path, change] of changesOf(metadata.config)) {
    for (const value of HOSTILE) yield [`${path} = ${textOf(value)}`, { format: 'safetensors', config: change(value) }]
  }
}

/** Every key of the object and of the objects inside it, with the function that sets it. */
function* changesOf(object: Readonly<Record<string, unknown>>, path = ''): Iterable<[string, (value: unknown) => Record<string, unknown>]> {
  for (const [key, inner] of Object.entries(object)) {
    yield [`${path}${key}`, (value) => ({ ...object, [key]: value })]
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) continue
    for (const [innerPath, change] of changesOf(inner as Record<string, unknown>, `${path}${key}.`))
      yield [innerPath, (value) => ({ ...object, [key]: change(value) })]
  }
}

function fileWith(file: TensorFile, tensors: TensorFile['tensors']): TensorFile {
  return { format: file.format, paths: file.paths, tensors, readTensor: (info, range) => file.readTensor(info, range), close: () => file.close() }
}

async function outcomeOf(metadata: ModelMetadata, tensors: TensorFile): Promise<string> {
  try {
    const architecture = findArchitecture(metadata)
    architecture.build(await architecture.readConfig(metadata, tensors), tensors, 4096)
    return 'program'
  } catch (error) {
    return error instanceof InferdError ? 'refused' : String(error)
  }
}

function textOf(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? `${item}n` : item)) ?? 'undefined'
}
