/**
 * The controller over endpoints that are created, updated, changed and deleted at random, on a machine whose units are slow, fail and die, with
 * alarms that go off and crashes of the controller. The rows are in memory, with the revisions of the store: what is tested is the order of
 * things, and a store in another thread would take the fake clock away.
 */
import { expect, test } from 'vitest'
import { assert } from '#base/assert'
import { FakeClock, settle } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import type { EndpointConfig, RolloutPlan } from '#contract/deployment'
import type { MeteredCall } from '#platform/metering/metering'
import type { UsageRecord } from '#contract/usage-record'
import { beginRollout } from '#platform/deployments/advance-endpoint'
import { AlarmWatch } from '#platform/deployments/alarm-watch'
import { EndpointController } from '#platform/deployments/endpoint-controller'
import { type EndpointDocument, makeGeneration, statusOf, unitsOf, wantedUnits } from '#platform/deployments/endpoint-document'
import type { EndpointRow } from '#platform/deployments/endpoint-rows'
import { createLog } from '#telemetry/log'
import { FakeFleet } from './fake-fleet.ts'

const SEEDS = [1, 2, 3, 4, 5, 6]
const STEPS = 1500
const NUM_ENDPOINTS = 5
const ALARM = { name: 'slow', metric: 'ttft_p95_ms', threshold: 100, windowMs: 60_000, minSamples: 1 } as const

class MemoryRows {
  readonly rows = new Map<string, EndpointRow>()

  async all(): Promise<readonly EndpointRow[]> {
    return [...this.rows.values()]
  }

  async change(row: EndpointRow, document: EndpointDocument, nowMs: number): Promise<EndpointRow | null> {
    const known = this.rows.get(row.name)
    if (known?.revision !== row.revision) return null
    const changed = { ...row, document, revision: row.revision + 1, modifiedMs: nowMs }
    this.rows.set(row.name, changed)
    return changed
  }

  async remove(name: string): Promise<void> {
    this.rows.delete(name)
  }
}

class World {
  readonly clock = new FakeClock()
  readonly random: SeededRandom
  readonly rows = new MemoryRows()
  readonly chaos = { failShare: 0.15, slowestStartMs: 4000 }
  fleet: FakeFleet
  watch = new AlarmWatch(this.clock)
  controller: EndpointController
  numUpdates = 0
  numRolledBack = 0
  private isStarting = false

  constructor(seed: number) {
    this.random = new SeededRandom(seed)
    this.fleet = new FakeFleet(this.clock, this.random, this.chaos)
    this.controller = this.makeController()
  }

  /** The process dies: units, names and samples are gone, rows are not. */
  async restart(): Promise<void> {
    await Promise.all([this.controller.close(), this.clock.advance(200)])
    this.fleet = new FakeFleet(this.clock, this.random, this.chaos)
    this.watch = new AlarmWatch(this.clock)
    this.controller = this.makeController()
    this.isStarting = true
    const started = this.controller.start().then(() => (this.isStarting = false))
    while (this.isStarting) await this.clock.advance(50)
    await started
  }

  async act(): Promise<void> {
    const name = `e${Math.floor(this.random.nextFloat() * NUM_ENDPOINTS)}`
    const row = this.rows.rows.get(name)
    const draw = this.random.nextFloat()
    if (row === undefined) this.create(name)
    else if (draw < 0.04) await this.edit(row, { ...row.document, isWanted: false })
    else if (draw < 0.35 && statusOf(row.document) === 'InService') await this.update(row)
    else if (draw < 0.45 && statusOf(row.document) === 'InService') await this.reweigh(row)
    else if (draw < 0.5 && row.document.next !== null) this.makeSlow(row)
    else if (draw < 0.51) await this.restart()
    this.controller.wake()
  }

  /** What must hold whenever nothing is in the midst of happening. */
  check(): void {
    for (const { name, document } of this.rows.rows.values()) {
      const { serving, next, rollout, isWanted } = document
      assert((next === null) === (rollout === null), `${name}: what comes next is on its way`)
      assert(rollout === null || (rollout.percent >= 0 && rollout.percent <= 100), `${name}: percent`)
      if (!isWanted || serving === null || this.isStarting) continue
      const route = this.fleet.routes.get(name)
      const isReachable = [...unitsOf(name, serving)].every(({ unit }) => this.fleet.units.has(unit))
      if (!isReachable) continue
      assert(route !== undefined, `${name}: its name leads somewhere`)
      assert(Math.abs(route.variants.reduce((sum, { weight }) => sum + weight, 0) - 100) < 1e-6, `${name}: all calls go somewhere`)
      for (const { model } of route.variants) assert(this.fleet.units.has(model), `${name}: ${model} is there`)
    }
  }

  private makeController(): EndpointController {
    const { fleet, watch, clock, rows } = this
    return new EndpointController({ rows, fleet, peers: null, watch, alarms: [ALARM], clock, log: createLog('silent') })
  }

  private create(name: string): void {
    const [atMs, number] = [this.clock.wallMs(), Math.floor(this.clock.nowMs()) + 1]
    const plan: RolloutPlan = { kind: 'all-at-once', stepPercent: 100, waitMs: 0, bakeMs: 0, maxDurationMs: 60_000, alarms: [] }
    const document: EndpointDocument = {
      isWanted: true,
      serving: null,
      next: this.generation(number),
      rollout: { plan, phase: 'starting', percent: 0, startedMs: atMs, steppedMs: atMs },
      lastPlan: null,
      lastGeneration: number,
      problem: null,
    }
    this.rows.rows.set(name, { name, document, revision: 1, createdMs: atMs, modifiedMs: atMs })
  }

  private async update(row: EndpointRow): Promise<void> {
    const { random } = this
    const kind = (['all-at-once', 'canary', 'linear', 'rolling'] as const)[Math.floor(random.nextFloat() * 4)]!
    const stepPercent = kind === 'all-at-once' ? 100 : 5 + Math.floor(random.nextFloat() * 45)
    const times = { waitMs: random.nextFloat() * 2000, bakeMs: random.nextFloat() * 3000, maxDurationMs: 30_000 }
    const size = kind === 'rolling' ? { stepPercent, stepReplicas: 1 + Math.floor(random.nextFloat() * 3) } : { stepPercent }
    const plan: RolloutPlan = { kind, ...size, ...times, alarms: ['slow'] }
    const nowMs = this.clock.wallMs()
    const lastGeneration = row.document.lastGeneration + 1
    const next = this.generation(lastGeneration)
    const rollout = beginRollout(plan, next, nowMs)
    this.numUpdates++
    await this.edit(row, { ...row.document, next, rollout, lastPlan: plan, lastGeneration, problem: null })
  }

  private async reweigh(row: EndpointRow): Promise<void> {
    const { serving } = row.document
    const variants = serving!.variants.map((placed) => ({
      ...placed,
      weight: this.random.nextFloat() + 0.1,
      replicas: 1 + Math.floor(this.random.nextFloat() * 4),
    }))
    await this.edit(row, { ...row.document, serving: { ...serving!, variants } })
  }

  private makeSlow({ name, document }: EndpointRow): void {
    this.numRolledBack++
    const { unit } = unitsOf(name, document.next!)[0]!
    this.watch.onCall(
      { ttftMs: 500, tpotMs: 1, queueMs: 0, error: null, cost: 0n } as UsageRecord,
      { report: { servedBy: unit } } as unknown as MeteredCall,
    )
  }

  private async edit(row: EndpointRow, document: EndpointDocument): Promise<void> {
    await this.rows.change(row, document, this.clock.wallMs())
  }

  private generation(number: number): ReturnType<typeof makeGeneration> {
    const numVariants = 1 + Math.floor(this.random.nextFloat() * 3)
    const variants = Array.from({ length: numVariants }, (_, index) => ({
      name: `v${index}`,
      model: 'm',
      weight: index + 1,
      replicas: 1 + index,
      serverless: null,
    }))
    const shadows = this.random.nextFloat() < 0.2 ? [{ name: 'dark', model: 'm', weight: 50, replicas: 1, serverless: null }] : []
    const config: EndpointConfig = { name: `c${number}`, variants, shadows, request: {}, createdMs: 0 }
    return makeGeneration(number, config, () => ({ source: { kind: 'served', model: 'm' }, kvCacheMib: null }))
  }
}

test.each(SEEDS)('endpoints always lead somewhere and come to what is wanted of them (seed %i)', async (seed) => {
  const world = new World(seed)
  const started = world.controller.start()
  await world.clock.advance(10)
  await started
  for (let step = 0; step < STEPS; step++) {
    if (world.random.nextFloat() < 0.3) await world.act()
    await world.clock.advance(50 + world.random.nextFloat() * 300)
    world.check()
  }
  expect(world.numUpdates).toBeGreaterThan(10)
  expect(world.numRolledBack).toBeGreaterThan(3)
  // The chaos ends: all that is under way comes to an end, and nothing is left behind.
  world.chaos.failShare = 0
  for (let round = 0; round < 400; round++) await world.clock.advance(250)
  await settle()
  const wanted = new Set<string>()
  for (const { name, document } of world.rows.rows.values()) {
    expect(['InService', 'Failed']).toContain(statusOf(document))
    for (const { unit } of wantedUnits(name, document)) wanted.add(unit)
  }
  expect(new Set(world.fleet.units.keys())).toEqual(wanted)
  for (const { name, document } of world.rows.rows.values())
    for (const { unit, replicas } of wantedUnits(name, document)) expect(world.fleet.find(unit)?.wantedReplicas, `${name} ${unit}`).toBe(replicas)
  await Promise.all([world.controller.close(), world.clock.advance(1000)])
})

test('a unit that does not come to be holds a start up for fifteen seconds, and is served when it is there', async () => {
  const world = new World(9)
  world.chaos.failShare = 0
  const row = world.rows
  await world.act()
  while (row.rows.size === 0) await world.act()
  const add = world.fleet.add.bind(world.fleet)
  world.fleet.add = async (terms, signal) => {
    await world.clock.sleep(40_000, signal)
    return add(terms, signal)
  }
  let isStarted = false
  const started = world.controller.start().then(() => (isStarted = true))
  await settle()
  await world.clock.advance(14_900)
  expect(isStarted).toBe(false)
  await world.clock.advance(200)
  expect(isStarted).toBe(true)
  await started
  for (let round = 0; round < 200; round++) await world.clock.advance(250)
  expect([...row.rows.values()].map(({ document }) => statusOf(document))).toEqual(['InService'])
  await Promise.all([world.controller.close(), world.clock.advance(1000)])
})
