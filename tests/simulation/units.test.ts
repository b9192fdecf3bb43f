/** Laws of units of replicas: 100,000 random operations on the product's own pool, replicas, sets and routes, on calm days and on stormy ones. */
import { expect, test } from 'vitest'
import { settle } from '#base/fake-clock'
import { CALM, type Chaos, STORMY, UnitWorld } from './unit-world.ts'

const STEPS = 10_000

async function lived(seed: number, chaos: Chaos): Promise<UnitWorld> {
  const world = new UnitWorld(seed, chaos)
  for (let step = 0; step < STEPS; step++) await world.step()
  await world.comeToRest()
  await world.end()
  expect([...world.callers.outcomes.values()].reduce((sum, count) => sum + count, 0)).toBe(world.callers.numCalls)
  // The run was worth something: units came, grew, were refused and went.
  expect(world.callers.outcomes.get('response-end')).toBeGreaterThan(2000)
  expect(Math.min(world.numSpawned, world.numRetired, world.numRefused)).toBeGreaterThan(25)
  return world
}

test.each([1, 2, 3, 4, 5])('no call is lost by what is scaled, replaced and let go of (seed %i)', async (seed) => {
  const { outcomes } = (await lived(seed, CALM)).callers
  // Only those of a sleeping unit find no room beside what stays up; the world holds that.
  for (const code of ['insufficient_memory', 'model_loading']) outcomes.delete(code)
  expect([...outcomes.keys()].toSorted()).toEqual(['cancelled', 'response-end'])
})

test.each([11, 12, 13, 14, 15])(
  'whatever dies, hangs and jumps, nobody has a call twice, and all comes to what is wanted (seed %i)',
  async (seed) => {
    const { outcomes } = (await lived(seed, STORMY)).callers
    expect([...outcomes.keys()]).toEqual(expect.arrayContaining(['replica_lost', 'invalid_model_file', 'model_loading']))
  },
)

test('a thousand calls that hit a sleeping unit are answered after one start', async () => {
  const world = new UnitWorld(21)
  const serverless = { maxConcurrency: 8, provisionedConcurrency: 0, idleTimeoutMs: 5000 }
  const added = world.add('e0', { replicas: 1, needMib: 300, serverless })
  await world.round(500)
  await added
  expect(world.numSpawned).toBe(0)
  for (let call = 0; call < 1000; call++) world.callers.call('e0')
  await settle()
  for (let round = 0; round < 20; round++) await world.round(100)
  expect([...world.callers.outcomes]).toEqual([['response-end', 1000]])
  expect(world.numSpawned).toBe(1)
  await world.comeToRest()
  await world.end()
})
