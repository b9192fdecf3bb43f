/** The reserved lane in the policy of a step: laws that hold for every view, and the cases that show them. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LANE_RANK, type Lane } from '#contract/lane'
import { decideStep, type StepDecision } from './decide-step.ts'
import { isDecoding, type CandidateView, type DecisionLimits, type RunningView, type StepView } from './step-view.ts'

const LIMITS: DecisionLimits = {
  maxTokensPerStep: 32,
  maxPrefillTokensWithDecodes: 16,
  maxSequences: 8,
  maxOutputsPerStep: 12,
  admissionWatermarkBlocks: 2,
}
const LANES: readonly Lane[] = ['reserved', 'shared', 'background']

const decoding = (lane: Lane): RunningView => ({
  numPendingTokens: 1,
  numNewestTokens: 1,
  numMissingBlocks: 0,
  numSlots: 1,
  numLogitRows: 1,
  isEmbed: false,
  lane,
})
const prompt = (numPendingTokens: number, lane: Lane): RunningView => ({ ...decoding(lane), numPendingTokens })
const candidate = (lane: Lane, numBlocks = 1): CandidateView => ({ numSlots: 1, lane, countBlocks: () => numBlocks })

function decide(view: Partial<StepView>): { readonly action: string; readonly numTokens: readonly number[] } {
  const out: StepDecision = { action: 'run', numTokens: new Int32Array(LIMITS.maxSequences).fill(-1) }
  const complete = { running: [], candidate: null, numFreeBlocks: 100, maxBackgroundTokens: 10, hasPreempted: false, hasDisplaced: false, ...view }
  decideStep(complete, LIMITS, out)
  return { action: out.action, numTokens: out.action === 'run' ? [...out.numTokens.subarray(0, complete.running.length)] : [] }
}

const views = fc.record({
  running: fc
    .array(
      fc
        .record({ pending: fc.integer({ min: 1, max: 40 }), newest: fc.integer({ min: 1, max: 6 }), lane: fc.constantFrom(...LANES) })
        .map(({ pending, newest, lane }): RunningView => ({ ...decoding(lane), numPendingTokens: pending, numNewestTokens: newest })),
      { minLength: 1, maxLength: LIMITS.maxSequences },
    )
    .map((all) => all.toSorted((a, b) => LANE_RANK[a.lane] - LANE_RANK[b.lane])),
  numFreeBlocks: fc.integer({ min: 16, max: 40 }),
})

test('a prompt of the shared lane is computed only when every reserved prompt is computed to its end', () => {
  let numBoth = 0
  fc.assert(
    fc.property(views, (view) => {
      const { numTokens } = decide(view)
      const promptsOf = (lane: Lane): readonly { readonly pending: number; readonly tokens: number }[] =>
        view.running.flatMap((each, index) =>
          each.lane === lane && !isDecoding(each) ? [{ pending: each.numPendingTokens, tokens: numTokens[index]! }] : [],
        )
      const isSharedComputed = promptsOf('shared').some(({ tokens }) => tokens > 0)
      const reserved = promptsOf('reserved')
      if (!isSharedComputed || reserved.length === 0) return
      numBoth++
      expect(reserved.every(({ pending, tokens }) => tokens === pending)).toBe(true)
    }),
    { seed: 8, numRuns: 3000 },
  )
  expect(numBoth).toBeGreaterThan(50)
})

test('who is reserved and would be admitted among the reserved alone is admitted, or displaces who is not', () => {
  const seen = new Map<string, number>()
  fc.assert(
    fc.property(views, fc.integer({ min: 1, max: 14 }), (view, numBlocks) => {
      const reserved = view.running.filter(({ lane }) => lane === 'reserved')
      const asked = candidate('reserved', numBlocks)
      const { action } = decide({ ...view, candidate: asked })
      seen.set(action, (seen.get(action) ?? 0) + 1)
      const alone = decide({ ...view, running: reserved, candidate: asked }).action
      if (alone === 'admit' && reserved.length > 0) expect(['admit', 'displace']).toContain(action)
      if (reserved.length === view.running.length) expect(action).not.toBe('displace')
    }),
    { seed: 9, numRuns: 3000 },
  )
  expect([...seen.keys()].toSorted()).toEqual(['admit', 'displace', 'run'])
})

test.each<[string, Partial<StepView>, string]>([
  [
    'a reserved one by displacing the shared that have all places',
    { running: Array<RunningView>(8).fill(decoding('shared')), candidate: candidate('reserved') },
    'displace',
  ],
  [
    'a reserved one by displacing the shared that have the blocks',
    { running: [decoding('shared')], candidate: candidate('reserved', 99) },
    'displace',
  ],
  [
    'a reserved one not in the place of its own',
    { running: Array<RunningView>(8).fill(decoding('reserved')), candidate: candidate('reserved') },
    'run',
  ],
  [
    'a shared one not in the place of a reserved',
    { running: Array<RunningView>(8).fill(decoding('reserved')), candidate: candidate('shared') },
    'run',
  ],
  ['a shared one not while a reserved prompt takes the step', { running: [prompt(40, 'reserved')], candidate: candidate('shared') }, 'run'],
  ['a shared one beside what reserved prompts leave', { running: [prompt(10, 'reserved')], candidate: candidate('shared') }, 'admit'],
])('admits %s', (_, view, action) => {
  expect(decide(view).action).toBe(action)
})

test.each<[string, readonly RunningView[], readonly number[]]>([
  ['reserved prompts whole, the shared what is left', [prompt(10, 'reserved'), prompt(50, 'shared')], [10, 22]],
  ['reserved prompts alone where they need it all', [prompt(20, 'reserved'), prompt(20, 'reserved'), prompt(50, 'shared')], [20, 12, 0]],
  ['every stream, whoever prefills', [prompt(50, 'reserved'), decoding('shared')], [16, 1]],
])('a step computes %s', (_, running, numTokens) => {
  expect(decide({ running })).toEqual({ action: 'run', numTokens })
})
