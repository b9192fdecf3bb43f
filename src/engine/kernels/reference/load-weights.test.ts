import { expect, test } from 'vitest'
import { ProgramBuilder } from '#engine/program/program-builder'
import type { Program } from '#engine/program/program'
import type { TensorFile, TensorInfo } from '#engine/weights/tensor-file'
import { loadWeights } from './load-weights.ts'

/** Tensors a (4, 3) and b (2, 3) hold 0, 1, 2, ... and 100, 101, ...; norm (3) is zero. */
function file(): TensorFile {
  const contents: Readonly<Record<string, Float32Array>> = {
    a: Float32Array.from({ length: 12 }, (_, index) => index),
    b: Float32Array.from({ length: 6 }, (_, index) => 100 + index),
    norm: new Float32Array(3),
  }
  const infoOf = (name: string): TensorInfo => ({
    name,
    dtype: 'f32',
    shape: [contents[name]!.length / 3, 3],
    fileIndex: 0,
    byteOffset: 0,
    byteLength: contents[name]!.byteLength,
  })
  return {
    format: 'gguf',
    paths: [],
    tensors: new Map(Object.keys(contents).map((name) => [name, infoOf(name)])),
    readTensor: ({ name, byteLength }, range = { byteStart: 0, byteLength }) =>
      Promise.resolve(new Uint8Array(contents[name]!.buffer.slice(range.byteStart, range.byteStart + range.byteLength) as ArrayBuffer)),
    close: () => Promise.resolve(),
  }
}

function program(): Program {
  const builder = new ProgramBuilder({ name: 'parts', vocabSize: 4, numLayers: 1, numKvHeads: 1, headDim: 2 })
  const parts = [
    { tensor: 'b', rowStart: 1, numRows: 1 },
    { tensor: 'a', rowStart: 1, numRows: 3 },
  ]
  const table = builder.weight({ name: 'table', dtype: 'f32', numRows: 4, numColumns: 3, parts })
  const norm = builder.weight({ name: 'norm', dtype: 'f32', numRows: 1, numColumns: 3, offset: 1 })
  const normed = builder.rmsNorm({ name: 'normed', x: builder.embed({ name: 'x', table }), weight: norm, epsilon: 1 })
  const hidden = builder.selectRows({ name: 'hidden', x: normed })
  return builder.finish({ hidden, logits: builder.linear({ name: 'logits', x: hidden, weight: table, rows: 'logits' }) })
}

test('parts are stacked in order, an offset is added, and progress ends at the total', async () => {
  const progress: [number, number][] = []
  const [table, norm] = await loadWeights(program(), file(), { onProgress: (loaded, total) => progress.push([loaded, total]) })
  expect([...table!.values]).toEqual([103, 104, 105, 3, 4, 5, 6, 7, 8, 9, 10, 11])
  expect([...norm!.values]).toEqual([1, 1, 1])
  expect(progress).toEqual([
    [48, 60],
    [60, 60],
  ])
})

test('an aborted load stops with the reason of the signal', async () => {
  const reason = new Error('shutting down')
  await expect(loadWeights(program(), file(), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
})
