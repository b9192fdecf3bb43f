/**
 * The sampling algorithm, exactly. C++ implements the same steps in the same order and returns the same tokens. l are the
 * raw f32 logits of one row; everything below is f64 unless it says f32. exp and log may differ by an ulp between
 * languages, and f64 sums may be reassociated: a token changes only where a draw falls within about 1e-12 of a boundary.
 *
 *  1. Non-finite. Any NaN or infinity in l: NON_FINITE, token 0, no logprobs, done.
 *  2. Logprobs (asked for by numTopLogprobs >= 0). m = max l; S = sum of exp(l[i] - m) by ascending i;
 *     logprob(i) = f32((l[i] - m) - log(S)). The alternatives are the largest l, ties by lower id. Bias, penalties and
 *     temperature do not touch logprobs.
 *  3. Bias. z = l (f32); for each entry in list order z[id] = f32(z[id] + value).
 *  4. Penalties. For each entry (a token stands at most once in the list):
 *     a = z > 0 ? z / repetitionPenalty : z * repetitionPenalty;
 *     z = f32((a - frequencyPenalty * count) - (count > 0 ? presencePenalty : 0)).
 *     The z of a token with bias -Infinity stays -Infinity: it is forbidden. Any z that is NaN or +Infinity now (a bias or
 *     penalty far outside what the doors let in), of whatever token: NON_FINITE, token 0, no logprobs, done.
 *     Mask (maskIndex >= 0): z of every token whose bit is 0 becomes -Infinity. The mask comes last: neither the test above nor
 *     logprobs know it. All z -Infinity: ALL_FORBIDDEN, token 0, no logprobs, done.
 *  5. Temperature 0: the token of the largest z, lowest id on ties. Done.
 *  6. w[i] = exp((z[i] - max z) / temperature); forbidden tokens have w 0.
 *  7. u = hash32(seed, drawIndex) / 2^32 (draw.ts).
 *  8. No top-k (topK <= 0 or >= vocabSize), no top-p (topP >= 1) and no min-p (minP <= 0): T = sum of w by ascending id; the
 *     token is the first id whose running sum exceeds u * T. Done.
 *  9. Otherwise the candidates are the tokens with w > 0 and w >= minP, by descending z, ties by lower id; the first topK of
 *     them stay (ties at the edge: lower ids). T = sum of their w in that order. If topP < 1, the smallest prefix whose
 *     running sum is >= topP * T stays (at least one), and T is that running sum. The token is the first whose running sum
 *     exceeds u * T. No candidate at all (minP above 1, or a parameter that is NaN): the token of 5.
 * In 8 and 9, should rounding leave no such token, it is the last one with w > 0.
 */
import { uniformDraw } from './draw.ts'
import { ALL_FORBIDDEN, MAX_TOP_LOGPROBS, NON_FINITE, SAMPLED } from './sampling-columns.ts'
import type { SampledColumns, SamplingBatch } from './sampling-columns.ts'

/** Samples one row. logits: f32 (vocabSize), raw, not mutated. scratch: f32 (vocabSize), mutated. Writes entry `row` of every column of `out`. */
export function sampleRow(logits: Float32Array, sampling: SamplingBatch, row: number, scratch: Float32Array, out: SampledColumns): void {
  out.tokenIds[row] = 0
  out.logprobs[row] = 0
  out.nonFinite[row] = logits.every(Number.isFinite) ? SAMPLED : NON_FINITE
  if (out.nonFinite[row] !== SAMPLED) return
  scratch.set(logits)
  applyBias(scratch, sampling, row)
  applyPenalties(scratch, sampling, row)
  if (!scratch.every((value) => value < Infinity)) out.nonFinite[row] = NON_FINITE
  if (out.nonFinite[row] !== SAMPLED) return
  applyMask(scratch, sampling, row)
  const best = argmax(scratch)
  if (scratch[best] === -Infinity) out.nonFinite[row] = ALL_FORBIDDEN
  if (out.nonFinite[row] !== SAMPLED) return
  const token = sampling.temperature[row]! === 0 ? best : drawToken(scratch, best, sampling, row)
  out.tokenIds[row] = token
  if (sampling.numTopLogprobs[row]! >= 0) fillLogprobs(logits, token, sampling.numTopLogprobs[row]!, row, out)
}

function applyBias(z: Float32Array, sampling: SamplingBatch, row: number): void {
  for (let entry = sampling.biasStarts[row]!; entry < sampling.biasStarts[row + 1]!; entry++) {
    z[sampling.biasTokenIds[entry]!]! += sampling.biasValues[entry]!
  }
}

function applyPenalties(z: Float32Array, sampling: SamplingBatch, row: number): void {
  const repetition = sampling.repetitionPenalty[row]!
  const frequency = sampling.frequencyPenalty[row]!
  const presence = sampling.presencePenalty[row]!
  for (let entry = sampling.penaltyStarts[row]!; entry < sampling.penaltyStarts[row + 1]!; entry++) {
    const id = sampling.penaltyTokenIds[entry]!
    const count = sampling.penaltyCounts[entry]!
    const repeated = z[id]! > 0 ? z[id]! / repetition : z[id]! * repetition
    z[id] = repeated - frequency * count - (count > 0 ? presence : 0)
  }
}

function applyMask(z: Float32Array, sampling: SamplingBatch, row: number): void {
  const index = sampling.maskIndex[row]!
  if (index < 0) return
  const start = index * sampling.maskWords
  for (let id = 0; id < z.length; id++) if (((sampling.masks[start + (id >> 5)]! >>> (id & 31)) & 1) === 0) z[id] = -Infinity
}

function argmax(z: Float32Array): number {
  let best = 0
  for (let id = 1; id < z.length; id++) if (z[id]! > z[best]!) best = id
  return best
}

function drawToken(z: Float32Array, best: number, sampling: SamplingBatch, row: number): number {
  const u = uniformDraw(sampling.seed[row]!, sampling.drawIndex[row]!)
  const temperature = sampling.temperature[row]!
  const topK = sampling.topK[row]!
  const topP = sampling.topP[row]!
  const minP = sampling.minP[row]!
  const max = z[best]!
  const weights = Float64Array.from(z, (value) => Math.exp((value - max) / temperature))
  const isWholeVocabulary = (topK <= 0 || topK >= z.length) && topP >= 1 && minP <= 0
  if (isWholeVocabulary) return invertInIdOrder(weights, u)
  const candidates = descendingCandidates(z, weights, minP)
  if (candidates.length === 0) return best
  const kept = topK > 0 ? candidates.slice(0, topK) : candidates
  return invertInOrder(topP < 1 ? nucleus(kept, weights, topP) : kept, weights, u)
}

function invertInIdOrder(weights: Float64Array, u: number): number {
  let total = 0
  for (const weight of weights) total += weight
  const target = u * total
  let sum = 0
  let last = 0
  for (let id = 0; id < weights.length; id++) {
    if (weights[id] === 0) continue
    sum += weights[id]!
    last = id
    if (sum > target) return id
  }
  return last
}

function descendingCandidates(z: Float32Array, weights: Float64Array, minP: number): number[] {
  const candidates: number[] = []
  for (let id = 0; id < z.length; id++) if (weights[id]! > 0 && weights[id]! >= minP) candidates.push(id)
  return candidates.sort((a, b) => z[b]! - z[a]! || a - b)
}

function nucleus(candidates: readonly number[], weights: Float64Array, topP: number): readonly number[] {
  let total = 0
  for (const id of candidates) total += weights[id]!
  let sum = 0
  let numKept = 0
  while (numKept < candidates.length) {
    sum += weights[candidates[numKept]!]!
    numKept++
    if (sum >= topP * total) break
  }
  return candidates.slice(0, numKept)
}

function invertInOrder(candidates: readonly number[], weights: Float64Array, u: number): number {
  let total = 0
  for (const id of candidates) total += weights[id]!
  let sum = 0
  for (const id of candidates) {
    sum += weights[id]!
    if (sum > u * total) return id
  }
  return candidates.at(-1)!
}

function fillLogprobs(logits: Float32Array, token: number, numTop: number, row: number, out: SampledColumns): void {
  const max = logits[argmax(logits)]!
  let total = 0
  for (const logit of logits) total += Math.exp(logit - max)
  const logTotal = Math.log(total)
  out.logprobs[row] = logits[token]! - max - logTotal
  const start = row * MAX_TOP_LOGPROBS
  for (const [rank, id] of largest(logits, numTop).entries()) {
    out.topTokenIds[start + rank] = id
    out.topLogprobs[start + rank] = logits[id]! - max - logTotal
  }
}

/** Ids of the numTop largest, best first, ties by lower id. */
function largest(logits: Float32Array, numTop: number): number[] {
  const top: number[] = []
  for (let id = 0; id < logits.length; id++) {
    if (top.length === numTop && !(logits[id]! > logits[top.at(-1) ?? id]!)) continue
    const better = top.findIndex((other) => logits[id]! > logits[other]!)
    top.splice(better === -1 ? top.length : better, 0, id)
    if (top.length > numTop) top.pop()
  }
  return top
}
