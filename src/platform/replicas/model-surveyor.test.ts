import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { InferdError, toErrorRecord } from '#contract/errors'
import type { EngineOptions, EnginePlan } from '#engine/engine'
import type { ToWorker } from './messages.ts'
import { ModelSurveyor } from './model-surveyor.ts'
import type { WorkerListeners } from './worker-process.ts'

const PLAN = { memory: { weightsBytes: 1, kvCacheBytes: 2, activationBytes: 3 } } as EnginePlan
const ENGINE = { modelPath: 'm' } as EngineOptions

class PlayedSurvey {
  readonly clock = new FakeClock()
  readonly sent: ToWorker[] = []
  readonly workers: WorkerListeners[] = []
  readonly killed: number[] = []
  readonly surveyor = new ModelSurveyor({
    clock: this.clock,
    freeBytes: () => 100,
    spawn: (listeners) => {
      const number = this.workers.push(listeners)
      return {
        pid: number,
        send: (message) => void this.sent.push(message),
        kill: () => {
          this.killed.push(number)
          listeners.onExit('signal SIGKILL')
        },
      }
    },
  })
}

const codeOf = (error: unknown): string => (error as InferdError).code

test('one process answers question after question, and ends when nobody has asked for a while', async () => {
  const played = new PlayedSurvey()
  for (let round = 0; round < 2; round++) {
    const plan = played.surveyor.plan(ENGINE)
    played.workers.at(-1)!.onMessage({ type: 'planned', plan: PLAN })
    expect(await plan).toBe(PLAN)
    await played.clock.advance(6_000)
  }
  expect([played.sent.length, played.workers.length, played.killed]).toEqual([2, 1, []])
  expect(played.sent[0]).toEqual({ type: 'plan', options: ENGINE, freeBytes: 100 })
  await played.clock.advance(6_000)
  expect(played.killed).toEqual([1])
})

test('a file that cannot be read, one that kills the process and one that takes for ever fail their own question only', async () => {
  const played = new PlayedSurvey()
  const bad = played.surveyor.plan(ENGINE).catch(codeOf)
  played.workers[0]!.onMessage({ type: 'load-failed', error: toErrorRecord(new InferdError('invalid_model_file', 'bad')) })
  expect(await bad).toBe('invalid_model_file')
  const deadly = played.surveyor.plan(ENGINE).catch(codeOf)
  played.workers[0]!.onExit('signal SIGSEGV')
  expect(await deadly).toBe('replica_lost')
  const slow = played.surveyor.plan(ENGINE).catch(codeOf)
  await played.clock.advance(120_000)
  expect(await slow).toBe('deadline_exceeded')
  const good = played.surveyor.plan(ENGINE)
  played.workers[2]!.onMessage({ type: 'planned', plan: PLAN })
  expect(await good).toBe(PLAN)
})

test('closing ends the question and the process', async () => {
  const played = new PlayedSurvey()
  const plan = played.surveyor.plan(ENGINE).catch(codeOf)
  played.surveyor.close()
  await settle()
  expect([await plan, played.killed]).toEqual(['shutting_down', [1]])
})
