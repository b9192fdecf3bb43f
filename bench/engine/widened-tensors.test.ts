import { expect, test } from 'vitest'
import { openModelFiles } from '#engine/weights/model-files'
import { dequantize } from '#engine/weights/dequantize'
import { WidenedTensors } from './widened-tensors.ts'

test('a tensor is given out as the F32 values of its blocks, whole and by rows', async () => {
  const { tensors } = await openModelFiles('models/inferd-chat/inferd-chat-Q4_K_M.gguf')
  const wide = new WidenedTensors(tensors)
  const info = wide.tensors.get('blk.0.ffn_down.weight')!
  const [numRows, numColumns] = info.shape as [number, number]
  const source = tensors.tensors.get(info.name)!
  const expected = new Float32Array(numRows * numColumns)
  dequantize(source.dtype, await tensors.readTensor(source), expected.length, expected)

  expect([source.dtype, info.dtype]).toEqual(['q4_k', 'f32'])
  expect(new Float32Array((await wide.readTensor(info)).buffer)).toEqual(expected)
  const rowBytes = numColumns * Float32Array.BYTES_PER_ELEMENT
  const rows = await wide.readTensor(info, { byteStart: 3 * rowBytes, byteLength: 2 * rowBytes })
  expect(new Float32Array(rows.buffer)).toEqual(expected.slice(3 * numColumns, 5 * numColumns))
  await wide.close()
})
