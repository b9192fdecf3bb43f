/** The background in the policy of a step: laws that hold for every view, and the cases that show them. */
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

const DECODE: RunningView = {
  numPendingTokens: 1,
  numNewestTokens: 1,
  numMissingBlocks: 0,
  numSlots: 1,
  numLogitRows: 1,
  isEmbed: false,
  lane: 'shared',
}
const QUIET: RunningView = { ...DECODE, lane: 'background' }
const prompt = (numPendingTokens: number, lane: Lane = 'shared'): RunningView => ({ ...DECODE, numPendingTokens, lane })
const candidate = (lane: Lane, numBlocks = 1): CandidateView => ({ numSlots: 1, lane, countBlocks: () => numBlocks })

function decide(view: Partial<StepView>): { readonly action: string; readonly numTokens: readonly number[] } {
  const out: StepDecision = { action: 'run', numTokens: new Int32Array(LIMITS.maxSequences).fill(-1) }
  const complete = { running: [], candidate: null, numFreeBlocks: 100, maxBackgroundTokens: 10, hasPreempted: false, hasDisplaced: false, ...view }
  decideStep(complete, LIMITS, out)
  return { action: out.action, numTokens: out.action === 'run' ? [...out.numTokens.subarray(0, complete.running.length)] : [] }
}

const sequence = fc
  .record({
    pending: fc.integer({ min: 1, max: 40 }),
    newest: fc.integer({ min: 1, max: 6 }),
    missing: fc.nat(2),
    isEmbed: fc.nat(9).map((dice) => dice === 0),
    lane: fc.constantFrom<Lane>('shared', 'background'),
  })
  .map(({ pending, newest, missing, isEmbed, lane }): RunningView => ({
    numPendingTokens: pending,
    numNewestTokens: newest,
    numMissingBlocks: missing,
    numSlots: 1,
    numLogitRows: isEmbed ? 0 : 1,
    isEmbed,
    lane,
  }))

const views = fc.record({
  running: fc
    .array(sequence, { minLength: 1, maxLength: LIMITS.maxSequences })
    .map((all) => all.toSorted((a, b) => LANE_RANK[a.lane] - LANE_RANK[b.lane])),
  numFreeBlocks: fc.integer({ min: 16, max: 40 }),
  maxBackgroundTokens: fc.integer({ min: 1, max: 32 }),
})

test('whatever runs, the background changes nothing for the foreground, holds still for its prompts, and keeps to its share', () => {
  let numShared = 0
  let numHeld = 0
  fc.assert(
    fc.property(views, (view) => {
      const { action, numTokens } = decide(view)
      expect(action).toBe('run')
      const foreground = view.running.filter(({ lane }) => lane === 'shared')
      const behind = numTokens.slice(foreground.length)
      const sum = (tokens: readonly number[]): number => tokens.reduce((total, each) => total + each, 0)
      if (foreground.length > 0) expect(numTokens.slice(0, foreground.length)).toEqual(decide({ ...view, running: foreground }).numTokens)
      for (const [index, tokens] of numTokens.entries()) {
        expect(tokens).toBeGreaterThanOrEqual(0)
        expect(tokens).toBeLessThanOrEqual(view.running[index]!.numPendingTokens)
      }
      expect(sum(numTokens)).toBeGreaterThan(0)
      expect(sum(numTokens)).toBeLessThanOrEqual(LIMITS.maxTokensPerStep)
      expect(sum(behind)).toBeLessThanOrEqual(view.maxBackgroundTokens)
      const numRows = view.running.map(({ isEmbed, numPendingTokens }, index) => {
        const tokens = numTokens[index]!
        return isEmbed ? tokens : Number(tokens === numPendingTokens)
      })
      expect(sum(numRows)).toBeLessThanOrEqual(LIMITS.maxOutputsPerStep)
      if (foreground.some((each) => !isDecoding(each))) {
        numHeld++
        expect(sum(behind)).toBe(0)
      } else if (behind.length > 0) {
        numShared++
        expect(sum(behind)).toBeGreaterThan(0)
      }
    }),
    { seed: 5, numRuns: 3000 },
  )
  expect([numShared > 100, numHeld > 100]).toEqual([true, true])
})

test('who of the foreground would be admitted without the background is admitted, or displaces it', () => {
  const seen = new Map<string, number>()
  fc.assert(
    fc.property(views, fc.integer({ min: 1, max: 40 }), (view, numBlocks) => {
      const foreground = view.running.filter(({ lane }) => lane === 'shared')
      const asked = candidate('shared', Math.min(numBlocks, view.numFreeBlocks))
      const { action } = decide({ ...view, candidate: asked })
      seen.set(action, (seen.get(action) ?? 0) + 1)
      const alone = decide({ ...view, running: foreground, candidate: asked }).action
      // Blocks that the background misses are not there for it either: they count, and it gives way next.
      if (alone === 'admit' && view.running.length > 0) expect(['admit', 'displace']).toContain(action)
      if (alone === 'run' && view.running.length === foreground.length) expect(action).toBe('run')
    }),
    { seed: 6, numRuns: 3000 },
  )
  expect([...seen.keys()].toSorted()).toEqual(['admit', 'displace', 'run'])
})

test.each<[string, Partial<StepView>, readonly number[]]>([
  ['decodes, then prompts in order', { running: [DECODE, QUIET, QUIET, prompt(50, 'background')] }, [1, 1, 1, 8]],
  ['decodes in order, as many as its share has tokens', { running: [QUIET, QUIET, QUIET], maxBackgroundTokens: 2 }, [1, 1, 0]],
  ['the prompts of the foreground alone', { running: [DECODE, prompt(50), QUIET, prompt(50, 'background')] }, [1, 16, 0, 0]],
  ['a whole step where it is alone and its share is', { running: [prompt(50, 'background')], maxBackgroundTokens: 32 }, [32]],
])('a step computes %s', (_, view, numTokens) => {
  expect(decide(view)).toEqual({ action: 'run', numTokens })
})

test.each<[string, Partial<StepView>, string]>([
  ['the background into what is left of its share', { running: [QUIET], candidate: candidate('background') }, 'admit'],
  ['none behind prompts that use the share up', { running: [prompt(20, 'background')], candidate: candidate('background') }, 'run'],
  ['none while a prompt of the foreground is on its way', { running: [prompt(20)], candidate: candidate('background') }, 'run'],
  ['none that was displaced in this step', { running: [QUIET], candidate: candidate('background'), hasDisplaced: true }, 'run'],
  ['the foreground, by displacing what has all places', { running: Array<RunningView>(8).fill(QUIET), candidate: candidate('shared') }, 'displace'],
  ['the foreground, by displacing what has the blocks', { running: [DECODE, QUIET], candidate: candidate('shared', 99) }, 'displace'],
  ['the foreground not beside so many of its own', { running: Array<RunningView>(8).fill(DECODE), candidate: candidate('shared') }, 'run'],
  ['nobody of the foreground when only its own have the blocks', { running: [DECODE], candidate: candidate('shared', 99) }, 'run'],
])('admits %s', (_, view, action) => {
  expect(decide(view).action).toBe(action)
})

test('what the background misses is not asked for while it holds still', () => {
  const needy = { ...QUIET, numMissingBlocks: 3 }
  expect(decide({ running: [prompt(5), needy], numFreeBlocks: 2 }).action).toBe('run')
  expect(decide({ running: [DECODE, needy], numFreeBlocks: 2 }).action).toBe('preempt')
})
