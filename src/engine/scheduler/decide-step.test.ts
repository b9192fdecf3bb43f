import { expect, test } from 'vitest'
import { decideStep } from './decide-step.ts'
import type { StepDecision } from './decide-step.ts'
import type { CandidateView, DecisionLimits, RunningView, StepView } from './step-view.ts'

const LIMITS: DecisionLimits = {
  maxTokensPerStep: 32,
  maxPrefillTokensWithDecodes: 16,
  maxSequences: 4,
  maxOutputsPerStep: 8,
  admissionWatermarkBlocks: 2,
}

const DECODE: RunningView = {
  numPendingTokens: 1,
  numNewestTokens: 1,
  numMissingBlocks: 0,
  numSlots: 1,
  numLogitRows: 1,
  isEmbed: false,
  lane: 'shared',
}
const prefill = (numPendingTokens: number, different: Partial<RunningView> = {}): RunningView => ({ ...DECODE, numPendingTokens, ...different })
const embed = (numPendingTokens: number): RunningView => prefill(numPendingTokens, { isEmbed: true, numLogitRows: 0 })
/** A decoding sequence with so many tokens that had to follow its sampled one. */
const follow = (numFollowing: number): RunningView => ({ ...DECODE, numPendingTokens: 1 + numFollowing, numNewestTokens: 1 + numFollowing })
const candidate = (numBlocks: number, numSlots = 1): CandidateView => ({ numSlots, lane: 'shared', countBlocks: () => numBlocks })

function decide(view: Partial<StepView>, limits: Partial<DecisionLimits> = {}): { readonly action: string; readonly numTokens: readonly number[] } {
  const out: StepDecision = { action: 'run', numTokens: new Int32Array(4).fill(-1) }
  const complete = { running: [], candidate: null, numFreeBlocks: 100, maxBackgroundTokens: 32, hasPreempted: false, hasDisplaced: false, ...view }
  decideStep(complete, { ...LIMITS, ...limits }, out)
  return { action: out.action, numTokens: out.action === 'run' ? [...out.numTokens.subarray(0, complete.running.length)] : [] }
}

test.each<[string, readonly RunningView[], readonly number[]]>([
  ['a prompt alone takes the whole budget', [prefill(100)], [32]],
  ['decodes go first and leave the prompt its limit', [prefill(100), DECODE, DECODE], [16, 1, 1]],
  ['a short prompt gets past a long one', [prefill(100), prefill(5)], [27, 5]],
  ['three long prompts share: more than half for the first', [prefill(100), prefill(100), prefill(100)], [16, 8, 8]],
  ['what a share leaves goes on in order', [prefill(4), prefill(100), prefill(6)], [4, 22, 6]],
  ['tokens that must follow are computed at once where nobody prefills', [follow(9), DECODE], [10, 1]],
  ['they share the prefill limit in order, and everyone computes one', [follow(9), follow(9), DECODE], [10, 8, 1]],
  ['beside a prompt they get half of it, and the prompt the rest', [prefill(100), follow(20), DECODE], [8, 9, 1]],
  ['a stretch that is partly computed still decodes', [prefill(100), { ...follow(20), numPendingTokens: 3 }], [14, 3]],
  ['a sequence that computes its stretch anew prefills', [{ ...follow(4), numPendingTokens: 50 }, DECODE], [16, 1]],
  ['an embedding takes as many tokens as output rows are left', [embed(100), DECODE], [7, 1]],
])('budget: %s', (_name, running, numTokens) => {
  expect(decide({ running })).toEqual({ action: 'run', numTokens })
})

test('a prompt whose choices cannot all sample stops one token before its end', () => {
  const choices = prefill(3, { numLogitRows: 8, numSlots: 2 })
  expect(decide({ running: [DECODE, choices] }).numTokens).toEqual([1, 2])
  expect(decide({ running: [choices] }).numTokens).toEqual([3])
})

test('the prefill limit counts only beside decodes', () => {
  expect(decide({ running: [DECODE, prefill(100)] }, { maxPrefillTokensWithDecodes: 1 }).numTokens).toEqual([1, 1])
  expect(decide({ running: [prefill(100)] }, { maxPrefillTokensWithDecodes: 1 }).numTokens).toEqual([32])
})

test('stretches and prompts both go on where the limit is one token', () => {
  const one = { maxPrefillTokensWithDecodes: 1 }
  expect(decide({ running: [follow(9), prefill(9)] }, one).numTokens).toEqual([1, 1])
  expect(decide({ running: [follow(9), follow(9)] }, one).numTokens).toEqual([2, 1])
  expect(decide({ running: [follow(9), follow(9), follow(9), follow(9)] }, { maxTokensPerStep: 4 }).numTokens).toEqual([1, 1, 1, 1])
})

test('all blocks that a stretch misses count', () => {
  const needy = { ...follow(30), numMissingBlocks: 3 }
  expect(decide({ running: [needy, DECODE], numFreeBlocks: 2 }).action).toBe('preempt')
  expect(decide({ running: [needy, DECODE], numFreeBlocks: 3 }).action).toBe('run')
})

test('more missing than free blocks preempt, and nothing is admitted in that step', () => {
  const needy = { ...DECODE, numMissingBlocks: 1 }
  expect(decide({ running: [needy, needy], numFreeBlocks: 1 }).action).toBe('preempt')
  expect(decide({ running: [needy, needy], numFreeBlocks: 2 }).action).toBe('run')
  expect(decide({ running: [DECODE], candidate: candidate(1), hasPreempted: true }).action).toBe('run')
})

test('one sequence that outgrows the cache alone is a bug', () => {
  expect(() => decide({ running: [{ ...DECODE, numMissingBlocks: 1 }], numFreeBlocks: 0 })).toThrow('outgrows')
})

test.each<[string, Partial<StepView>, string]>([
  ['into an idle core, whatever the watermark', { candidate: candidate(100) }, 'admit'],
  ['when blocks and watermark fit', { running: [DECODE], candidate: candidate(98) }, 'admit'],
  ['not below the watermark', { running: [DECODE], candidate: candidate(99) }, 'run'],
  ['not into blocks that the running miss', { running: [{ ...DECODE, numMissingBlocks: 1 }], candidate: candidate(98) }, 'run'],
  ['not without a place for every choice', { running: [DECODE, DECODE], candidate: candidate(1, 3) }, 'run'],
  ['only with blocks for the copies of its choices', { running: [DECODE], candidate: candidate(97, 3) }, 'run'],
  ['while the prefill budget has room', { running: [prefill(100), prefill(100)], candidate: candidate(1) }, 'admit'],
  ['while stretches leave half of the prefill budget', { running: [follow(30)], candidate: candidate(1) }, 'admit'],
  ['not when stretches and prompts use it up', { running: [follow(30), prefill(100), prefill(100), prefill(100)], candidate: candidate(1) }, 'run'],
  ['not when the prefill budget is shared out', { running: [prefill(100), prefill(100), prefill(100)], candidate: candidate(1) }, 'run'],
])('admission: %s', (_name, view, action) => {
  expect(decide(view).action).toBe(action)
})

test('a queued request that can never fit is a bug', () => {
  expect(() => decide({ candidate: candidate(101) })).toThrow('never fit')
})
