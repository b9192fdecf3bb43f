/** Laws of the memory of models: 100,000 random operations with dying workers, herds and a clock that jumps. */
import { expect, test } from 'vitest'
import { LifecycleSimulation } from './model-lifecycle.ts'

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
const STEPS = 10_000

test.each(SEEDS)('whatever happens, memory, owners and callers are accounted for, and the machine comes to rest (seed %i)', async (seed) => {
  const simulation = new LifecycleSimulation(seed, 6 + seed)
  for (let step = 0; step < STEPS; step++) await simulation.step()
  await simulation.comeToRest()
  const { counts } = simulation
  const numOutcomes = [...counts.outcomes.values()].reduce((sum, count) => sum + count, 0)
  expect(numOutcomes).toBe(counts.numCalls)
  // The run was worth something: every way to end was taken, and models came and went.
  expect([...counts.outcomes.keys()].toSorted()).toEqual(
    expect.arrayContaining(['aborted', 'answered', 'insufficient_memory', 'lost', 'model_loading', 'model_not_found', 'overloaded', 'replica_lost']),
  )
  expect(counts.numStarts).toBeGreaterThan(100)
  expect(counts.numDrains).toBeGreaterThan(10)
})
