import { expect, test } from 'vitest'
import { hash32, mix32, uniformDraw } from './draw.ts'

test('the hash is what other languages must compute', () => {
  expect([hash32(0, 0), hash32(1, 0), hash32(0, 1), hash32(0xffffffff, 0xffffffff), mix32(1)]).toEqual([
    // Recomputed with Python integers modulo 2^32 from the definition in draw.ts.
    1999214781, 1182176188, 1260869130, 1055108688, 2261973619,
  ])
})

test('draws of one seed fill the unit interval evenly, and so do first draws of many seeds', () => {
  for (const draw of [(index: number) => uniformDraw(42, index), (index: number) => uniformDraw(index, 0)]) {
    const counts = new Int32Array(64)
    for (let index = 0; index < 64_000; index++) counts[Math.floor(draw(index) * 64)]!++
    const chiSquare = counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)
    // 63 degrees of freedom: 99.9 % lie below 104.
    expect(chiSquare).toBeLessThan(104)
  }
})
