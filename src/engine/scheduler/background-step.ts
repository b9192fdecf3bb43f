/**
 * What the background gets of a step: nothing while a prompt of the foreground is on its way, otherwise so many tokens that a prompt which
 * comes meanwhile does not wait long for the step to end. In order: who began first ends first, and what is behind waits with its blocks.
 */
import { type CandidateView, chunkTokens, type DecisionLimits, isDecoding, outputRows, type StepView } from './step-view.ts'

/** Whether the first that waits, one of the background, finds work for itself in this step; places and blocks are looked at elsewhere. */
export function hasBackgroundRoom({ running, maxBackgroundTokens }: StepView, limits: DecisionLimits, numForeground: number): boolean {
  let numDecodes = 0
  let numPrefillTokens = 0
  for (let index = numForeground; index < running.length; index++) {
    if (isDecoding(running[index]!)) numDecodes++
    else numPrefillTokens += running[index]!.numPendingTokens
  }
  const mayPrefill = prefillLimit(limits, numForeground + numDecodes > 0)
  return numPrefillTokens < Math.min(maxBackgroundTokens - numDecodes, mayPrefill)
}

/** Whether a place, and blocks beside those that must stay free, can be had for it when nothing is displaced. */
export function fitsBeside(
  { running, numFreeBlocks }: StepView,
  limits: DecisionLimits,
  needs: CandidateView & { readonly numMissingBlocks: number },
): boolean {
  let numSlots = needs.numSlots
  for (const each of running) numSlots += each.numSlots
  if (numSlots > limits.maxSequences) return false
  // Each further choice will copy the prompt's last block when it writes its first token.
  const numReserved = limits.admissionWatermarkBlocks + needs.numSlots - 1
  return needs.numMissingBlocks + numReserved + needs.countBlocks() <= numFreeBlocks
}

export interface StepRest {
  readonly numForeground: number
  /** Of the step, after the foreground. */
  readonly tokensLeft: number
  readonly outputsLeft: number
}

/** Writes numTokens of the background. Those that decode go first, then prompts, then tokens that have to follow. */
export function divideBackground(view: StepView, limits: DecisionLimits, rest: StepRest, numTokens: Int32Array): void {
  const { running, maxBackgroundTokens } = view
  const { numForeground } = rest
  let tokensLeft = Math.min(rest.tokensLeft, maxBackgroundTokens)
  let { outputsLeft } = rest
  let hasDecodes = numForeground > 0
  for (let index = numForeground; index < running.length; index++) {
    const sequence = running[index]!
    const fits = isDecoding(sequence) && tokensLeft > 0 && sequence.numLogitRows <= outputsLeft
    numTokens[index] = fits ? 1 : 0
    if (!fits) continue
    hasDecodes = true
    tokensLeft--
    // A stretch that is not computed to its end samples nothing; its rows stay reserved all the same.
    outputsLeft -= sequence.numLogitRows
  }
  let prefillLeft = Math.min(tokensLeft, prefillLimit(limits, hasDecodes))
  for (let index = numForeground; index < running.length && prefillLeft > 0; index++) {
    const sequence = running[index]!
    if (isDecoding(sequence)) continue
    const chunk = chunkTokens(sequence, prefillLeft, outputsLeft)
    numTokens[index] = chunk
    tokensLeft -= chunk
    prefillLeft -= chunk
    outputsLeft -= outputRows(sequence, chunk)
  }
  for (let index = numForeground; index < running.length && tokensLeft > 0; index++) {
    if (numTokens[index] === 0 || !isDecoding(running[index]!)) continue
    const more = Math.min(running[index]!.numPendingTokens - 1, tokensLeft)
    numTokens[index] = 1 + more
    tokensLeft -= more
  }
}

function prefillLimit(limits: DecisionLimits, hasDecodes: boolean): number {
  return hasDecodes ? limits.maxPrefillTokensWithDecodes : limits.maxTokensPerStep
}
