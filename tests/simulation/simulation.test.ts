import { expect, test } from 'vitest'
import { addReport, emptyReport, simulate } from './simulate.ts'
import type { SimulationReport } from './simulate.ts'

const FIRST_SEED = 1
const NUM_SEEDS = 120
const STEPS_PER_SEED = 1000

/** Every kind of event must have happened, or the run proves less than its name says. */
const MUST_HAPPEN: readonly (keyof SimulationReport)[] = [
  'numPreemptions',
  'numCopiedBlocks',
  'cachedTokens',
  'numForks',
  'numEmbeddings',
  'numCancelledWaiting',
  'numCancelledRunning',
  'numFinishedChoices',
  'numNonFinite',
  'numGuideFailures',
  'numStuck',
  'numForcedTokens',
  'numMasks',
  'numCompleted',
  'numOverloaded',
  'numRefused',
  'numShutDown',
  'numLost',
  'numProbes',
]

test('over 100,000 steps of random load no block is lost, nothing starves, and each request gets its own tokens and one terminal event', async () => {
  const total = emptyReport()
  for (let seed = FIRST_SEED; seed < FIRST_SEED + NUM_SEEDS; seed++) addReport(total, await simulate({ seed, numSteps: STEPS_PER_SEED }))
  console.log(JSON.stringify(total))
  expect(total.numSteps).toBeGreaterThanOrEqual(100_000)
  for (const key of MUST_HAPPEN) expect(total[key], key).toBeGreaterThan(20)
})

test('a seed replays: two runs reach exactly the same', async () => {
  for (const seed of [3, 16, 29]) {
    expect(await simulate({ seed, numSteps: 500 })).toEqual(await simulate({ seed, numSteps: 500 }))
  }
})
