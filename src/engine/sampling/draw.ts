/**
 * The generator behind sampling: stateless, so that a preempted or moved sequence goes on with the same draws. All
 * arithmetic is on unsigned 32-bit integers, modulo 2^32:
 *
 *   mix(x)           x ^= x >> 16; x *= 0x21f0aaad; x ^= x >> 15; x *= 0x735a2d97; x ^= x >> 15
 *   hash32(seed, n)  mix(mix(seed + 0x9e3779b9) + mix(n + 0x85ebca6b))
 *   u                hash32(seed, n) / 2^32, in [0, 1), exact in f64
 *
 * The mix is the finalizer of `base/random`'s generator (a two-round mixer found by hash-prospector's search for low bias).
 */

/** seed, drawIndex: u32. Returns u32. */
export function hash32(seed: number, drawIndex: number): number {
  return mix32((mix32((seed + 0x9e3779b9) >>> 0) + mix32((drawIndex + 0x85ebca6b) >>> 0)) >>> 0)
}

/** Uniform in [0, 1). */
export function uniformDraw(seed: number, drawIndex: number): number {
  return hash32(seed, drawIndex) / 2 ** 32
}

/** A bijection of the u32 in which every input bit reaches every output bit. */
export function mix32(x: number): number {
  let z = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
  return (z ^ (z >>> 15)) >>> 0
}
