import { expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { SpareWorkers } from './spare-workers.ts'
import type { WorkerListeners } from './worker-process.ts'

const PROGRESS = { type: 'progress', loadedBytes: 0, totalBytes: 0 } as const

class PlayedSpares {
  readonly clock = new FakeClock()
  readonly spawned: WorkerListeners[] = []
  readonly killed: number[] = []
  readonly heard: string[] = []
  readonly spares: SpareWorkers
  readonly owner: WorkerListeners = {
    onMessage: ({ type }) => void this.heard.push(type),
    onExit: (reason) => void this.heard.push(reason),
  }

  constructor(numSpare: number) {
    this.spares = new SpareWorkers({ numSpare, clock: this.clock, spawn: (listeners) => this.spawn(listeners) })
    this.spares.start()
  }

  private spawn(listeners: WorkerListeners) {
    const pid = this.spawned.push(listeners)
    return { pid, send: () => {}, kill: () => void this.killed.push(pid) }
  }
}

test('a spare worker is taken at once with all that it has said, and replaced a little later', async () => {
  const played = new PlayedSpares(1)
  played.spawned[0]!.onMessage(PROGRESS)
  expect([played.spares.spawn(played.owner).pid, played.heard]).toEqual([1, []])
  await played.clock.advance(0)
  played.spawned[0]!.onMessage({ type: 'broken', reason: '' })
  played.spawned[0]!.onExit('exit code 1')
  expect([played.heard, played.spawned.length]).toEqual([['progress', 'broken', 'exit code 1'], 1])
  await played.clock.advance(2000)
  expect([played.spawned.length, played.spares.numWaiting]).toEqual([2, 1])
})

test('without a spare one a worker is started as ever, and without the wish for any none is kept', async () => {
  const played = new PlayedSpares(0)
  expect(played.spares.spawn(played.owner).pid).toBe(1)
  await played.clock.advance(10_000)
  expect([played.spawned.length, played.spares.numWaiting]).toEqual([1, 0])
})

test('a spare worker that ends is never given out, and is replaced without haste', async () => {
  const played = new PlayedSpares(2)
  played.spawned[0]!.onExit('signal SIGKILL')
  expect(played.spares.spawn(played.owner).pid).toBe(2)
  expect(played.spawned.length).toBe(2)
  await played.clock.advance(2000)
  expect([played.spawned.length, played.spares.numWaiting]).toEqual([4, 2])
})

test('closing ends those that nobody took, and starts no more', async () => {
  const played = new PlayedSpares(2)
  played.spares.spawn(played.owner)
  played.spares.close()
  await played.clock.advance(10_000)
  expect([played.killed, played.spawned.length, played.clock.numSleepers]).toEqual([[2], 2, 0])
})
