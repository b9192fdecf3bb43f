/**
 * Makes endpoints what their documents say: starts the units that must run, leads the names to them, lets go of the rest, and writes down how
 * far it is. It keeps nothing that the store does not have but what it sees; after a crash it begins with nothing running. Of several servers
 * on one store each makes its own machine so, and one of them, the leader, writes.
 *
 * Order within an endpoint: units up, then names to them, then the others away. So a name always leads to units that are there.
 */
import type { Clock } from '#base/clock'
import type { AlarmRule } from '#contract/deployment'
import { type ErrorRecord, toErrorRecord } from '#contract/errors'
import type { EndpointCaptures } from '#platform/capture/call-captures'
import type { DeployedTerms } from '#platform/invocations/deployed-terms'
import type { RouteDefinition } from '#platform/routing/route-definition'
import type { Log } from '#telemetry/log'
import { advanceEndpoint, type EndpointSight, type UnitSight } from './advance-endpoint.ts'
import type { AlarmWatch } from './alarm-watch.ts'
import { unitsOf, wantedAsync, wantedCaptures, wantedRoutes, wantedUnits } from './endpoint-document.ts'
import type { EndpointRow, EndpointRows } from './endpoint-rows.ts'
import type { Fleet, UnitTerms } from './fleet.ts'
import { type DeploymentPeers, type DeploymentReport, type EndpointReport, mergeSights } from './peer-sights.ts'

export interface EndpointControllerParts {
  readonly rows: Pick<EndpointRows, 'all' | 'change' | 'remove'>
  readonly fleet: Fleet
  /** null = no other server uses the store. */
  readonly peers: DeploymentPeers | null
  /** Absent = no calls are kept. */
  readonly captures?: Pick<EndpointCaptures, 'put'>
  /** Absent = there are no asynchronous invocations. */
  readonly asyncTerms?: Pick<DeployedTerms, 'put'>
  readonly watch: AlarmWatch
  readonly alarms: readonly AlarmRule[]
  readonly clock: Clock
  readonly log: Log
}

/** starting: asked of the fleet. here: the fleet has it. failed: it refused, and is asked again after a rest. leaving: let go of. */
type HeldUnit =
  | { readonly state: 'starting' | 'here' | 'leaving' }
  | { readonly state: 'failed'; readonly problem: ErrorRecord; readonly retryMs: number }

/** A name as it was put, to put each change once. */
interface PutRoute {
  readonly words: string
  readonly targets: readonly string[]
}

interface Held {
  /** Of the row: a name may be another endpoint's by now. */
  readonly createdMs: number
  readonly units: Map<string, HeldUnit>
  readonly routes: Map<string, PutRoute>
  /** For the leader; null while nothing moves. */
  report: EndpointReport | null
}

interface Wanted {
  readonly units: readonly UnitTerms[]
  readonly routes: readonly RouteDefinition[]
}

const TICK_MS = 100
/** What other servers write is seen so late at most. */
const PEER_TICK_MS = 500
const RETRY_REST_MS = 5000
/** Of a start: a model that is still copied from its bucket by then holds the server up no longer. */
const START_WAIT_MS = 15_000

export class EndpointController {
  private readonly parts: EndpointControllerParts
  private readonly held = new Map<string, Held>()
  private readonly closing = new AbortController()
  private readonly openedMs: number
  private woken = Promise.withResolvers<void>()
  private running: Promise<void> = Promise.resolve()

  constructor(parts: EndpointControllerParts) {
    this.parts = parts
    this.openedMs = parts.clock.wallMs()
  }

  /** Resolves when the units of all endpoints are there, so that their names are known when the server listens; after a while also without. */
  async start(): Promise<void> {
    await this.look()
    await Promise.race([this.settled(), this.parts.clock.sleep(START_WAIT_MS, this.closing.signal).catch(() => {})])
    await this.look()
    this.running = this.run()
  }

  /** Something has changed: looks at once. */
  wake(): void {
    this.woken.resolve()
  }

  /** Of one endpoint, for who shows it. */
  hasUnits(endpoint: string): boolean {
    return (this.held.get(endpoint)?.units.size ?? 0) > 0
  }

  /** For the server that decides. */
  report(): DeploymentReport {
    const endpoints = [...this.held].flatMap(([name, { report }]) => (report === null ? [] : [[name, report] as const]))
    return { endpoints: Object.fromEntries(endpoints) }
  }

  /** The fleet ends by itself. */
  async close(): Promise<void> {
    this.closing.abort()
    this.wake()
    await this.running
  }

  private async run(): Promise<void> {
    const { signal } = this.closing
    while (!signal.aborted) {
      const isBusy = await this.look().catch((err: unknown) => {
        this.parts.log.error({ err }, 'endpoints could not be looked after; the next try follows')
        return true
      })
      const pause = new AbortController()
      const tickMs = isBusy ? TICK_MS : this.parts.peers === null ? null : PEER_TICK_MS
      const tick = tickMs === null ? [] : [this.parts.clock.sleep(tickMs, AbortSignal.any([signal, pause.signal])).catch(() => {})]
      await Promise.race([this.woken.promise, ...tick])
      pause.abort()
      this.woken = Promise.withResolvers()
    }
  }

  /** True = some endpoint is on its way, so time alone may change it. */
  private async look(): Promise<boolean> {
    let isBusy = false
    const rows = await this.parts.rows.all()
    const lives = new Map(rows.map(({ name, createdMs }) => [name, createdMs]))
    // Another server took the row away: what is here goes before anything of that name comes again.
    for (const [name, held] of this.held) {
      if (lives.get(name) === held.createdMs) continue
      this.parts.captures?.put(name, [])
      this.parts.asyncTerms?.put(name, null)
      this.settle({ units: [], routes: [] }, held)
      if (held.units.size === 0) this.held.delete(name)
      else isBusy = true
    }
    for (const row of rows) if (await this.lookAt(row)) isBusy = true
    return isBusy
  }

  private async lookAt(row: EndpointRow): Promise<boolean> {
    const { rows, clock, log, peers } = this.parts
    const held = this.heldOf(row)
    if (held.createdMs !== row.createdMs) return true
    const sight = this.sightOf(row, held)
    const decides = peers === null || peers.isLeading
    const document = decides ? advanceEndpoint(row.name, row.document, peers === null ? sight : mergeSights(row, sight, peers)) : row.document
    if (document !== row.document) {
      if ((await rows.change(row, document, clock.wallMs())) === null) return true
      if (document.problem !== row.document.problem && document.problem !== null)
        log.warn({ endpoint: row.name, code: document.problem.code, reason: document.problem.message }, 'endpoint rolled back')
    }
    this.parts.captures?.put(row.name, wantedCaptures(row.name, document))
    this.parts.asyncTerms?.put(row.name, wantedAsync(document))
    this.settle({ units: wantedUnits(row.name, document), routes: wantedRoutes(row.name, document) }, held)
    if (decides && !document.isWanted && held.units.size === 0) {
      await rows.remove(row.name)
      this.held.delete(row.name)
      return false
    }
    const isSettled = document.isWanted && document.rollout === null
    held.report = isSettled ? null : { createdMs: row.createdMs, units: Object.fromEntries(sight.units), alarm: sight.alarm }
    return !isSettled || [...held.units.values()].some(({ state }) => state !== 'here')
  }

  private heldOf({ name, createdMs }: EndpointRow): Held {
    let held = this.held.get(name)
    if (held === undefined) this.held.set(name, (held = { createdMs, units: new Map(), routes: new Map(), report: null }))
    return held
  }

  private settle(wanted: Wanted, held: Held): void {
    this.startUnits(wanted, held)
    this.leadNames(wanted, held)
    this.letGo(wanted, held)
  }

  private sightOf({ name, document }: EndpointRow, { units }: Held): EndpointSight {
    const { fleet, watch, alarms, clock } = this.parts
    const seen = new Map<string, UnitSight>()
    const wanted = new Map(wantedUnits(name, document).map(({ unit, replicas, serverless }) => [unit, serverless === null ? replicas : null]))
    for (const [unit, held] of units) {
      const found = held.state === 'here' ? fleet.find(unit) : null
      // What there was no room for is not up, though all that could be started is.
      const isWhole = (wanted.get(unit) ?? found?.wantedReplicas) === found?.wantedReplicas
      seen.set(unit, { isUp: found?.isUp === true && isWhole, problem: held.state === 'failed' ? held.problem : (found?.problem ?? null) })
    }
    const { next, rollout } = document
    const rules = rollout?.plan.alarms.flatMap((rule) => (typeof rule === 'string' ? (alarms.find(({ name: known }) => known === rule) ?? []) : rule))
    const nextUnits = next === null ? [] : unitsOf(name, next).map(({ unit }) => unit)
    return { units: seen, alarm: rules === undefined ? null : watch.firing(rules, nextUnits), nowMs: clock.wallMs(), sinceMs: this.openedMs }
  }

  private startUnits(wanted: Wanted, { units }: Held): void {
    for (const terms of wanted.units) {
      const held = units.get(terms.unit)
      const isRested = held?.state === 'failed' && held.retryMs <= this.parts.clock.nowMs()
      if (held === undefined || isRested) this.startUnit(terms, units)
      else if (held.state === 'here') this.scaleUnit(terms)
    }
  }

  private startUnit(terms: UnitTerms, units: Map<string, HeldUnit>): void {
    const { fleet, watch, clock } = this.parts
    units.set(terms.unit, { state: 'starting' })
    watch.watch(terms.unit)
    fleet
      .add(terms, this.closing.signal)
      .then(
        () => units.set(terms.unit, { state: 'here' }),
        (error: unknown) => units.set(terms.unit, { state: 'failed', problem: toErrorRecord(error), retryMs: clock.nowMs() + RETRY_REST_MS }),
      )
      .finally(() => this.wake())
  }

  /** The desk has asked for room before it wrote the number down; what was lost since is tried again at the next look. */
  private scaleUnit({ unit, replicas, serverless }: UnitTerms): void {
    const found = this.parts.fleet.find(unit)
    if (found === null || serverless !== null || found.wantedReplicas === replicas) return
    try {
      found.scaleTo(replicas)
    } catch (error) {
      this.parts.log.warn({ unit, reason: toErrorRecord(error).message }, 'unit could not be scaled')
    }
  }

  /** Once all that a name leads to is there. */
  private leadNames(wanted: Wanted, { units, routes }: Held): void {
    const { fleet } = this.parts
    for (const route of wanted.routes) {
      const targets = [...route.variants, ...route.shadows].map(({ model }) => model)
      const words = JSON.stringify(route)
      if (routes.get(route.name)?.words === words || !targets.every((unit) => units.get(unit)?.state === 'here')) continue
      fleet.putRoute(route)
      routes.set(route.name, { words, targets })
    }
    for (const name of [...routes.keys()].filter((known) => wanted.routes.every((route) => route.name !== known))) {
      fleet.removeRoute(name)
      routes.delete(name)
    }
  }

  /** What nobody wants and no name leads to: after a crash in a bake the old replicas may be missing when calls are to go back to them. */
  private letGo({ units: wantedTerms }: Wanted, { units, routes }: Held): void {
    const wanted = new Set(wantedTerms.map(({ unit }) => unit))
    const reached = new Set([...routes.values()].flatMap(({ targets }) => targets))
    for (const [unit, { state }] of units) {
      if (!wanted.has(unit) && state !== 'starting' && state !== 'leaving' && !reached.has(unit)) this.retire(unit, units)
    }
  }

  private retire(unit: string, units: Map<string, HeldUnit>): void {
    units.set(unit, { state: 'leaving' })
    void this.parts.fleet.retire(unit).finally(() => {
      this.forget(unit, units)
      this.wake()
    })
  }

  private forget(unit: string, units: Map<string, HeldUnit>): void {
    units.delete(unit)
    this.parts.watch.forget(unit)
  }

  /** Until no unit is being asked for. */
  private async settled(): Promise<void> {
    const isStarting = (): boolean => [...this.held.values()].some(({ units }) => [...units.values()].some(({ state }) => state === 'starting'))
    while (isStarting() && !this.closing.signal.aborted) {
      await this.woken.promise
      this.woken = Promise.withResolvers()
    }
  }
}
