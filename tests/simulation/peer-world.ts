/**
 * Several servers on one store: each with its own machine and its own idea of the time, stopped at any call of the store, before or after it was
 * made, and killed. The store is in memory, one step at a time; what it answers is as the tables of `peer-rows` and `resource-rows` do, whose
 * SQL is tested on both stores.
 */
import type { Clock } from '#base/clock'
import type { FakeClock } from '#base/fake-clock'
import type { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import { AlarmWatch } from '#platform/deployments/alarm-watch'
import { EndpointController } from '#platform/deployments/endpoint-controller'
import type { EndpointDocument } from '#platform/deployments/endpoint-document'
import type { EndpointRow } from '#platform/deployments/endpoint-rows'
import type { DeploymentReport } from '#platform/deployments/peer-sights'
import { PeerGroup } from '#platform/peers/peer-group'
import type { PeerRow } from '#platform/store/peer-rows'
import { createLog } from '#telemetry/log'
import { type Chaos, FakeFleet } from './fake-fleet.ts'

export interface PeerChaos extends Chaos {
  /** [0, 1], of the calls of the store; half of those that fail were made. */
  storeFailShare: number
  /** [0, 1], of decisions: the server is stopped when it has decided and not yet written. */
  stopShare: number
}

/** Who decided what, in order. */
interface Decision {
  readonly by: string
  readonly endpoint: string
  readonly revision: number
}

export class PeerStore {
  readonly rows = new Map<string, EndpointRow>()
  readonly peers = new Map<string, PeerRow>()
  readonly decisions: Decision[] = []
  leader: string | null = null
  numRefused = 0
  numSuccessions = 0
  /** Decisions of who does not lead. */
  numWrong = 0
  /** False = the mistake that the test must find. */
  isFenced = true

  decide(by: string, row: EndpointRow, document: EndpointDocument, nowMs: number): EndpointRow | null {
    const known = this.rows.get(row.name)
    if (this.isFenced && !this.leads(by)) {
      this.numRefused++
      return null
    }
    if (known?.revision !== row.revision || known.createdMs !== row.createdMs) return null
    if (!this.leads(by)) this.numWrong++
    this.decisions.push({ by, endpoint: `${row.name} ${row.createdMs}`, revision: row.revision })
    return this.write(known, document, nowMs)
  }

  /** By who asked for it, on any server. */
  write(row: EndpointRow, document: EndpointDocument, nowMs: number): EndpointRow {
    const changed = { ...row, document, revision: row.revision + 1, modifiedMs: nowMs }
    this.rows.set(row.name, changed)
    return changed
  }

  remove(by: string, name: string): void {
    if (this.isFenced && !this.leads(by)) throw new InferdError('conflict', 'another server decides')
    if (!this.leads(by)) this.numWrong++
    this.rows.delete(name)
  }

  lead(id: string): boolean {
    if (!this.peers.has(id)) return false
    if (this.leader !== null && this.peers.has(this.leader)) return this.leader === id
    this.numSuccessions++
    this.leader = id
    return true
  }

  beat(id: string, report: string | null): boolean {
    const row = this.peers.get(id)
    if (row === undefined) return false
    this.peers.set(id, { id, beat: row.beat + 1, report: report ?? row.report })
    return true
  }

  private leads(id: string): boolean {
    return this.beat(id, null) && this.leader === id
  }
}

interface ServerParts {
  readonly name: string
  readonly store: PeerStore
  readonly clock: FakeClock
  readonly random: SeededRandom
  readonly chaos: PeerChaos
}

export class PeerServer {
  readonly fleet: FakeFleet
  readonly group: PeerGroup<DeploymentReport>
  /** What its wall clock is ahead. */
  skewMs = 0
  isDead = false
  private readonly parts: ServerParts
  private readonly controller: EndpointController
  private readonly clock: Clock
  private id = ''
  private numLives = 0
  private resumed: PromiseWithResolvers<void> | null = null

  constructor(parts: ServerParts) {
    const { store, clock, random, chaos, name } = parts
    this.parts = parts
    this.clock = {
      nowMs: () => clock.nowMs(),
      wallMs: () => clock.wallMs() + this.skewMs,
      sleep: async (ms, signal) => {
        await clock.sleep(ms, signal)
        await this.running()
      },
    }
    this.fleet = new FakeFleet(clock, random, chaos)
    const log = createLog('silent')
    this.group = new PeerGroup<DeploymentReport>({
      table: {
        join: (id, report) => this.call(() => void store.peers.set(id, { id, beat: 0, report })),
        beat: (id, report) => this.call(() => store.beat(id, report)),
        list: () => this.call(() => [...store.peers.values()]),
        drop: (id, beat) => this.call(() => (beat === null || store.peers.get(id)?.beat === beat) && store.peers.delete(id)),
        lead: (id) => this.call(() => store.lead(id)),
      },
      newId: () => (this.id = `${name}.${++this.numLives}`),
      isGone: () => false,
      onLead: () => {},
      clock: this.clock,
      log,
    })
    this.controller = new EndpointController({
      rows: {
        all: () => this.call(() => [...store.rows.values()]),
        change: (row, document, nowMs) => this.decide(() => store.decide(this.id, row, document, nowMs)),
        remove: (endpoint) => this.decide(() => store.remove(this.id, endpoint)),
      },
      fleet: this.fleet,
      peers: this.group,
      watch: new AlarmWatch(this.clock),
      alarms: [],
      clock: this.clock,
      log,
    })
  }

  get isStopped(): boolean {
    return this.resumed !== null
  }

  start(): void {
    void this.open()
  }

  stop(): void {
    this.resumed ??= Promise.withResolvers()
  }

  resume(): void {
    if (this.isDead) return
    this.resumed?.resolve()
    this.resumed = null
  }

  /** It says nothing more to anybody, nor leaves. */
  kill(): void {
    this.isDead = true
    this.stop()
  }

  async close(): Promise<void> {
    await Promise.all([this.group.close(), this.controller.close()])
  }

  private async open(): Promise<void> {
    for (let isOpen = false; !isOpen;)
      isOpen = await this.controller.start().then(
        () => true,
        () => false,
      )
    await this.group.start(async () => this.controller.report())
  }

  private async running(): Promise<void> {
    while (this.resumed !== null) await this.resumed.promise
  }

  private decide<T>(make: () => T): Promise<T> {
    if (this.parts.random.nextFloat() < this.parts.chaos.stopShare) this.stop()
    return this.call(make)
  }

  /** A stop may come before it is made, and after; so may a failure. */
  private async call<T>(make: () => T): Promise<T> {
    const { random, chaos, clock } = this.parts
    await clock.sleep(random.nextFloat() * 20)
    await this.running()
    const draw = random.nextFloat()
    if (draw < chaos.storeFailShare / 2) throw new InferdError('store_failed', 'the store is away')
    const made = make()
    await clock.sleep(random.nextFloat() * 20)
    await this.running()
    if (draw < chaos.storeFailShare) throw new InferdError('store_failed', 'what became of it is not known')
    return made
  }
}
