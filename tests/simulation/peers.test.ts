/**
 * Three servers on one store while they are stopped past their lease, killed and replaced, their clocks jump, the store fails, units die, and
 * endpoints are made, updated and deleted: no decision is made but by the one that leads, none twice, and in the end all machines are the same.
 */
import { expect, test } from 'vitest'
import { assert } from '#base/assert'
import { FakeClock, settle } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import type { EndpointConfig, RolloutPlan } from '#contract/deployment'
import { type EndpointDocument, makeGeneration, statusOf, wantedRoutes, wantedUnits } from '#platform/deployments/endpoint-document'
import { type PeerChaos, PeerServer, PeerStore } from './peer-world.ts'

const SEEDS = [1, 2, 3, 4]
const STEPS = 900
const NUM_SERVERS = 3
const NUM_ENDPOINTS = 3
const PLAN: RolloutPlan = { kind: 'canary', stepPercent: 30, waitMs: 2000, bakeMs: 2000, maxDurationMs: 90_000, alarms: [] }

class World {
  readonly clock = new FakeClock()
  readonly store = new PeerStore()
  readonly random: SeededRandom
  readonly chaos: PeerChaos = { failShare: 0.02, slowestStartMs: 3000, storeFailShare: 0.02, stopShare: 0.1 }
  readonly servers: PeerServer[] = []
  numStops = 0
  numUpdates = 0
  private numServers = 0

  constructor(seed: number) {
    this.random = new SeededRandom(seed)
    for (let index = 0; index < NUM_SERVERS; index++) this.addServer()
  }

  get living(): readonly PeerServer[] {
    return this.servers.filter(({ isDead }) => !isDead)
  }

  act(): void {
    const server = this.pick(this.living)
    const draw = this.random.nextFloat()
    if (draw < 0.06) this.stop(this.leading() ?? server)
    else if (draw < 0.1) this.stop(server)
    else if (draw < 0.3) for (const each of this.living) each.resume()
    else if (draw < 0.31) this.replace(this.random.nextFloat() < 0.5 ? (this.leading() ?? server) : server)
    else if (draw < 0.36) server.skewMs += (this.random.nextFloat() - 0.5) * 20_000
    else this.change(`e${Math.floor(this.random.nextFloat() * NUM_ENDPOINTS)}`)
  }

  addServer(): void {
    const { store, clock, random, chaos } = this
    const server = new PeerServer({ name: `s${++this.numServers}`, store, clock, random, chaos })
    this.servers.push(server)
    server.start()
  }

  private leading(): PeerServer | undefined {
    return this.living.find(({ group }) => group.isLeading)
  }

  private stop(server: PeerServer): void {
    this.numStops++
    server.stop()
  }

  private replace(server: PeerServer): void {
    server.kill()
    this.addServer()
  }

  private change(name: string): void {
    const row = this.store.rows.get(name)
    const nowMs = this.clock.wallMs()
    const draw = this.random.nextFloat()
    if (row === undefined) {
      const document = { ...this.rollout(1, null), serving: null, isWanted: true } satisfies EndpointDocument
      this.store.rows.set(name, { name, document, revision: 1, createdMs: nowMs, modifiedMs: nowMs })
    } else if (draw < 0.1) this.store.write(row, { ...row.document, isWanted: false }, nowMs)
    else if (statusOf(row.document) === 'InService') {
      this.numUpdates++
      this.store.write(row, { ...row.document, ...this.rollout(row.document.lastGeneration + 1, PLAN) }, nowMs)
    }
  }

  private rollout(number: number, plan: RolloutPlan | null): Omit<EndpointDocument, 'isWanted' | 'serving'> {
    const numVariants = 1 + Math.floor(this.random.nextFloat() * 2)
    const variants = Array.from({ length: numVariants }, (_, index) => ({
      name: `v${index}`,
      model: 'm',
      weight: index + 1,
      replicas: 1 + Math.floor(this.random.nextFloat() * 3),
      serverless: null,
    }))
    const config: EndpointConfig = { name: `c${number}`, variants, shadows: [], request: {}, createdMs: 0 }
    const next = makeGeneration(number, config, () => ({ source: { kind: 'served', model: 'm' }, kvCacheMib: null }))
    const nowMs = this.clock.wallMs()
    const rollout = { plan: plan ?? PLAN, phase: 'starting', percent: 0, startedMs: nowMs, steppedMs: nowMs } as const
    return { next, rollout, lastPlan: plan, lastGeneration: number, problem: null }
  }

  private pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.random.nextFloat() * items.length)]
    assert(item !== undefined, 'there is one')
    return item
  }
}

async function play(world: World): Promise<void> {
  for (let step = 0; step < STEPS; step++) {
    if (world.random.nextFloat() < 0.25) world.act()
    await world.clock.advance(100 + world.random.nextFloat() * 500)
  }
}

test.each(SEEDS)('of servers that stop, die and come back one decides, and all come to the same (seed %i)', async (seed) => {
  const world = new World(seed)
  const { store } = world
  await play(world)
  expect(store.numWrong).toBe(0)
  const revisions = store.decisions.map(({ endpoint, revision }) => `${endpoint} ${revision}`)
  expect(new Set(revisions).size).toBe(revisions.length)
  expect(new Set(store.decisions.map(({ by }) => by)).size).toBeGreaterThan(2)
  expect([world.numStops, world.numUpdates, store.numSuccessions, store.numRefused].every((count) => count > 0)).toBe(true)

  Object.assign(world.chaos, { failShare: 0, storeFailShare: 0, stopShare: 0 })
  for (const server of world.living) server.resume()
  for (let round = 0; round < 700; round++) await world.clock.advance(250)
  await settle()
  expect(store.peers.size).toBe(NUM_SERVERS)
  expect(world.living.filter(({ group }) => group.isLeading).length).toBe(1)
  const rows = [...store.rows.values()]
  for (const { document } of rows) expect(['InService', 'Failed']).toContain(statusOf(document))
  const units = rows.flatMap(({ name, document }) => wantedUnits(name, document).map(({ unit, replicas }) => `${unit} ${replicas}`))
  const routes = rows.flatMap(({ name, document }) => wantedRoutes(name, document))
  for (const { fleet } of world.living) {
    expect([...fleet.units.values()].map(({ unit, wantedReplicas }) => `${unit} ${wantedReplicas}`).toSorted()).toEqual(units.toSorted())
    expect([...fleet.routes.values()]).toEqual(expect.arrayContaining(routes))
    expect(fleet.routes.size).toBe(routes.length)
  }
  const closed = Promise.all(world.living.map((server) => server.close()))
  for (let round = 0; round < 10; round++) await world.clock.advance(100)
  await closed
  expect(store.peers.size).toBe(0)
})

test('without the fence of the store a server that was stopped decides beside the one that leads', async () => {
  const played = SEEDS.map(async (seed) => {
    const world = new World(seed)
    world.store.isFenced = false
    await play(world)
    return world.store.numWrong
  })
  expect(Math.max(...(await Promise.all(played)))).toBeGreaterThan(0)
})

test('what one server was told the others do within half a second, and one that goes in order is followed at its next beat', async () => {
  const world = new World(9)
  Object.assign(world.chaos, { failShare: 0, storeFailShare: 0, stopShare: 0 })
  const { store, clock } = world
  while (store.rows.size === 0) world.act()
  for (const server of world.living) server.resume()
  for (let round = 0; round < 100; round++) await clock.advance(250)
  const [name, row] = [...store.rows].find(([, { document }]) => statusOf(document) === 'InService')!
  const { serving } = row.document
  const variants = serving!.variants.map((placed, index) => ({ ...placed, weight: 5 + index, replicas: 4 }))
  store.write(row, { ...row.document, serving: { ...serving!, variants } }, clock.wallMs())
  // 500 ms, and what the store takes.
  await clock.advance(500 + 40)
  for (const { fleet } of world.living) {
    for (const { spec } of variants) expect(fleet.find(`${name}/${spec.name}@${serving!.number}`)?.wantedReplicas).toBe(4)
    expect(fleet.routes.get(name)).toEqual(wantedRoutes(name, store.rows.get(name)!.document)[0])
  }
  const leader = world.living.find(({ group }) => group.isLeading)!
  const closed = leader.close()
  await clock.advance(1200)
  await closed
  expect(world.living.filter(({ group }) => group.isLeading).map((server) => server !== leader)).toEqual([true])
})
