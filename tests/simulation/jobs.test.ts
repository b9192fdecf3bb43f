/**
 * Jobs under everything at once: processes that die at any await, stores that refuse or do not answer, clocks that jump, cancellations,
 * expiries, drains. What was acknowledged ends once, in the same way for everybody, and nothing waits for ever.
 */
import { expect, test } from 'vitest'
import { InferdError, toErrorRecord } from '#contract/errors'
import type { JobOrder } from '#contract/job'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import type { JobHandler } from '#platform/jobs/job-handler'
import { JobWorld, type Place } from './job-world.ts'

const NUM_SEEDS = Number(process.env['JOB_SEEDS'] ?? 12)
const STEPS_PER_SEED = 250
const TEAMS = ['red', 'blue']
const LANES = ['a', 'b', 'c']
const NUM_RECORDS = 3
/** Of a job that dies behind each outcome that it keeps: more than attempts may go wrong. */
const NUM_STEPS = 7
/** What a caller may be told of a submission. */
const REFUSALS = ['overloaded', 'conflict', 'store_failed']

interface Accepted {
  readonly id: string
  readonly team: string
  readonly key: string | null
}

class Callers {
  readonly accepted: Accepted[] = []
  readonly removed = new Set<string>()
  readonly refusals: string[] = []
  private readonly world: JobWorld

  constructor(world: JobWorld) {
    this.world = world
  }

  submit({ desk }: Place): void {
    const { random } = this.world
    const team = TEAMS[random.nextInt(2)]!
    const key = random.nextInt(3) === 0 ? `key-${random.nextInt(30)}` : null
    const order: JobOrder = {
      kind: 'async',
      principal: { ...LOCAL_PRINCIPAL, team },
      lane: LANES[random.nextInt(3)]!,
      spec: { fate: ['good', 'good', 'good', 'slow', 'flaky', 'poison', 'killer', 'climber'][random.nextInt(8)]! },
      labels: { team },
      ttlMs: [500, 5000, 60_000][random.nextInt(3)]!,
      ...(random.nextInt(4) === 0 ? { startWithinMs: 1000 } : {}),
      idempotency: key === null ? null : { key, digest: random.nextInt(10) === 0 ? 'other' : 'same' },
    }
    desk.submit(order).then(
      ({ id }) => this.accepted.push({ id, team, key: key === null ? null : `${team} ${key}` }),
      (error: unknown) => this.refusals.push(toErrorRecord(error).code),
    )
  }

  cancel({ desk }: Place): void {
    const job = this.accepted[this.world.random.nextInt(this.accepted.length)]
    if (job !== undefined) void desk.cancel(job.team, job.id).catch((error: unknown) => this.refusals.push(toErrorRecord(error).code))
  }

  remove({ desk }: Place): void {
    const job = this.accepted[this.world.random.nextInt(this.accepted.length)]
    if (job === undefined) return
    // From here on it may be gone, whether we hear of it or not: only an ended one goes.
    const row = this.world.rows().find(({ id }) => id === job.id)
    if (row?.phase !== 'ended') return
    this.removed.add(job.id)
    this.world.forget(job.id)
    void desk.remove(job.team, job.id).catch((error: unknown) => this.refusals.push(toErrorRecord(error).code))
  }

  /** Nothing acknowledged is lost; one key is one job. */
  check(): void {
    const rows = new Set(this.world.rows().map(({ id }) => id))
    for (const { id } of this.accepted) expect(rows.has(id) || this.removed.has(id), `${id} was acknowledged and is lost`).toBe(true)
    const byKey = new Map<string, string>()
    for (const { id, key } of this.accepted) {
      if (key === null || this.removed.has(id)) continue
      expect(byKey.get(key) ?? id, `two jobs of ${key}`).toBe(id)
      byKey.set(key, id)
    }
    for (const code of this.refusals) expect(REFUSALS).toContain(code)
  }
}

/** A thing that is published is there once: the first one stays, as an object that is put only if it is absent. */
class Objects {
  readonly byJob = new Map<string, string>()

  putIfAbsent(id: string, text: string): string {
    if (!this.byJob.has(id)) this.byJob.set(id, text)
    return this.byJob.get(id)!
  }
}

function handlersOf(world: JobWorld, objects: Objects): Parameters<JobWorld['start']>[0] {
  return (place) => {
    const pause = async (signal: AbortSignal, ms: number): Promise<void> => {
      await place.clock.sleep(world.random.nextInt(ms), signal)
    }
    const handler: JobHandler = {
      kind: 'async',
      maxRunning: 6,
      maxRunningIn: (lane) => (lane === 'c' ? 1 : 4),
      run: async (job, { signal: told, records, note }) => {
        const fate = job.spec['fate']
        // Not all work listens.
        const signal = world.chance(400) ? new AbortController().signal : told
        await pause(signal, 50)
        if (fate === 'killer') place.die()
        if (fate === 'poison' || (fate === 'flaky' && world.chance(500))) throw new InferdError('upstream_failed', 'no')
        const finished = new Set<number>()
        for await (const { index } of records.finished()) finished.add(index)
        const total = fate === 'climber' ? NUM_STEPS : NUM_RECORDS
        for (let index = 0; index < total; index++) {
          if (finished.has(index)) continue
          await pause(signal, fate === 'slow' ? 3000 : 40)
          await records.put({ index, isOk: true, line: `${index} by attempt ${job.attempt}` })
          note({ total, succeeded: index + 1, failed: 0 })
          if (fate === 'climber') place.die()
        }
        const shown = objects.putIfAbsent(job.id, `made by attempt ${job.attempt}`)
        await pause(new AbortController().signal, 20)
        return { state: 'succeeded', counts: { total, succeeded: total, failed: 0 }, result: { shown }, error: null }
      },
      abandon: async (job, error) => {
        await pause(new AbortController().signal, 30)
        if (world.chance(100)) throw new InferdError('store_failed', 'no object store')
        return { shown: objects.putIfAbsent(job.id, error.code) }
      },
    }
    return [handler]
  }
}

async function play(seed: number): Promise<void> {
  const world = new JobWorld(seed)
  await world.open()
  const objects = new Objects()
  const callers = new Callers(world)
  const start = (): Place => world.start(handlersOf(world, objects))
  const anyPlace = (): Place => world.living[world.random.nextInt(world.living.length)] ?? start()
  world.faults = { die: seed % 3 === 0 ? 0 : 4, refuse: seed % 2 === 0 ? 10 : 0 }
  for (let step = 0; step < STEPS_PER_SEED; step++) {
    const dice = world.random.nextInt(100)
    if (world.living.length < 3 && dice < 50) start()
    if (dice < 55) callers.submit(anyPlace())
    else if (dice < 65) callers.cancel(anyPlace())
    else if (dice < 70) callers.remove(anyPlace())
    else if (dice < 72) anyPlace().isDead = true
    else if (dice < 75) anyPlace().frozenUntilMs = world.clock.nowMs() + world.random.nextInt(9000)
    else if (dice < 78) {
      const place = anyPlace()
      place.isDraining = true
      void place.runner.drain(world.random.nextInt(500))
    } else if (dice < 80) world.jumpMs += (world.random.nextInt(3) - 1) * 3_600_000
    else await world.clock.advance(world.random.nextInt(600))
    world.check()
    callers.check()
  }
  await converge(world, start)
  world.check()
  callers.check()
  for (const { id, verdict, result, attempt } of world.rows()) {
    if (verdict === 'succeeded') expect(JSON.parse(result!), id).toEqual({ shown: objects.byJob.get(id) })
    expect(attempt).toBeGreaterThan(0)
  }
}

/** Faults end, and one process lives on: everything ends within a bounded time. */
async function converge(world: JobWorld, start: () => Place): Promise<void> {
  world.faults = { die: 0, refuse: 0 }
  for (let round = 0; round < 600; round++) {
    // Killers kill whoever runs them, until their attempts are used up.
    if (world.living.length === 0) start()
    await world.clock.advance(1000)
    world.check()
    if (world.rows().every(({ phase }) => phase === 'ended')) return
  }
  expect(world.rows().filter(({ phase }) => phase !== 'ended')).toEqual([])
}

test.each(Array.from({ length: NUM_SEEDS }, (_, index) => index + 1))(
  'seed %i: what was acknowledged ends once, nothing is owned twice, and everything ends',
  async (seed) => {
    await play(seed)
  },
  60_000,
)

test('a run replays from its seed', async () => {
  const trace = async (): Promise<string> => {
    const world = new JobWorld(5)
    await world.open()
    const start = (): Place => world.start(handlersOf(world, new Objects()))
    const callers = new Callers(world)
    world.faults = { die: 4, refuse: 10 }
    for (let step = 0; step < 60; step++) {
      if (world.living.length < 2) start()
      callers.submit(world.living[0]!)
      await world.clock.advance(100)
    }
    return JSON.stringify(world.rows())
  }
  expect(await trace()).toBe(await trace())
}, 30_000)
