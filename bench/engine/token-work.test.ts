import { expect, test } from 'vitest'
import { decodeLimit, prefillLimit, tokenWork } from './token-work.ts'

const layer = [
  { name: 'blk.0.attn_norm.weight', shape: [8], byteLength: 32 },
  { name: 'blk.0.attn_q.weight', shape: [8, 8], byteLength: 36 },
  { name: 'blk.0.attn_k.weight', shape: [4, 8], byteLength: 18 },
  { name: 'blk.0.attn_v.weight', shape: [4, 8], byteLength: 18 },
]
const embedding = { name: 'token_embd.weight', shape: [100, 8], byteLength: 450 }
const output = { name: 'output.weight', shape: [100, 8], byteLength: 450 }

test('a table of embeddings is read whole only where it is the output too', () => {
  expect(tokenWork([embedding, ...layer, output])).toEqual({ weightBytes: 522, kvBytesPerContextToken: 16, layerMacs: 128 })
  expect(tokenWork([embedding, ...layer])).toEqual({ weightBytes: 522, kvBytesPerContextToken: 16, layerMacs: 128 })
})

test('context costs its keys and values at each token, a prompt its multiply-adds', () => {
  const work = tokenWork([embedding, ...layer])
  const machine = { readBytesPerS: 52_200, macsPerS: 12_800 }
  expect(decodeLimit(work, machine, 0)).toBe(100)
  expect(decodeLimit(work, machine, 3)).toBeCloseTo(52_200 / 570)
  expect(prefillLimit(work, machine)).toBe(100)
})
