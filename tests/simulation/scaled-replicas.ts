/**
 * `decideCapacity` before a model of a service: replicas that take 20 s to start, each with so many calls a second, a line of those that wait.
 * A second is a step.
 */
import { expect } from 'vitest'
import { SeededRandom } from '#base/random'
import type { ScalableTarget, ScalingPolicy, StepScaling, TargetTracking } from '#contract/scaling'
import { type CapacitySample, decideCapacity } from '#platform/scaling/decide-capacity'

export const START_S = 20
/** Calls that one replica answers in a second, each of which it works on for a second. */
const CALLS_PER_REPLICA = 4

export const TARGET: ScalableTarget = {
  endpoint: 'e',
  variant: 'v',
  minReplicas: 1,
  maxReplicas: 20,
  setBounds: { minReplicas: 1, maxReplicas: 20 },
  isScaleInSuspended: false,
  isScaleOutSuspended: false,
  isScheduleSuspended: false,
  createdMs: 0,
}

export const TRACKING: TargetTracking = {
  kind: 'target-tracking',
  metric: 'concurrency',
  target: 3,
  scaleInCooldownMs: 60_000,
  scaleOutCooldownMs: 10_000,
  isScaleInDisabled: false,
}

interface Run {
  readonly wanted: readonly number[]
  readonly waiting: readonly number[]
}

function policyOf(rule: ScalingPolicy['rule']): ScalingPolicy {
  return { name: 'p', endpoint: 'e', variant: 'v', rule, request: null, createdMs: 0 }
}

type Rules = ScalingPolicy['rule'] | readonly StepScaling[]

/** `load`: arrivals in second `s`. */
export function simulate(load: (second: number) => number, seconds: number, rules: Rules = TRACKING, target = TARGET): Run {
  const policies = ('kind' in rules ? [rules] : rules).map((rule, index) => ({ ...policyOf(rule), name: `p${index}` }))
  const samples: CapacitySample[] = []
  /** Seconds at which each replica is up. */
  let replicas = [-START_S]
  let waiting = 0
  let [lastOutMs, lastOutBase, lastInMs] = [-Infinity, 0, -Infinity]
  const wanted: number[] = []
  const lines: number[] = []
  for (let second = 0; second < seconds; second++) {
    const nowMs = second * 1000
    const ready = replicas.filter((since) => since + START_S <= second).length
    const arrived = waiting + load(second)
    const running = Math.min(arrived, ready * CALLS_PER_REPLICA)
    waiting = arrived - running
    const values = {
      concurrency: running + waiting,
      invocations: load(second) * 60,
      'queue-wait': (1000 * waiting) / Math.max(1, ready * CALLS_PER_REPLICA),
      'kv-usage': Math.min(1, running / Math.max(1, ready * CALLS_PER_REPLICA)),
      tokens: running,
      backlog: 0,
    }
    samples.push({ atMs: nowMs, replicas: replicas.length, values })
    const history = { samples: samples.slice(-310), lastOutMs, lastOutBase, lastInMs }
    const decision = decideCapacity({ target, policies, fired: [], history, current: replicas.length, nowMs })
    if (decision !== null) {
      expect(decision.replicas).not.toBe(replicas.length)
      const tracking = policies.map(({ rule }) => rule).find((rule) => rule.kind === 'target-tracking')
      if (decision.replicas > replicas.length) {
        if (tracking !== undefined) expect(nowMs - lastOutMs, 'cooldown out').toBeGreaterThanOrEqual(tracking.scaleOutCooldownMs)
        ;[lastOutMs, lastOutBase] = [nowMs, decision.base]
        replicas = [...replicas, ...Array.from({ length: decision.replicas - replicas.length }, () => second)]
      } else {
        if (tracking !== undefined) expect(nowMs - Math.max(lastInMs, lastOutMs), 'cooldown in').toBeGreaterThanOrEqual(tracking.scaleInCooldownMs)
        lastInMs = nowMs
        replicas = replicas.slice(0, decision.replicas)
      }
    }
    expect(replicas.length).toBeGreaterThanOrEqual(target.minReplicas)
    expect(replicas.length).toBeLessThanOrEqual(target.maxReplicas)
    wanted.push(replicas.length)
    lines.push(waiting)
  }
  return { wanted, waiting: lines }
}

/** How often the number of replicas turned from rising to falling or back. */
export function turnsOf(wanted: readonly number[]): number {
  const moves = wanted.slice(1).flatMap((value, index) => (value === wanted[index] ? [] : [Math.sign(value - wanted[index]!)]))
  return moves.slice(1).filter((move, index) => move !== moves[index]).length
}

/** Load with noise of a quarter: nobody's calls come evenly. */
export function noisy(load: (second: number) => number, seed: number): (second: number) => number {
  const random = new SeededRandom(seed)
  return (second) => Math.round(load(second) * (0.75 + random.nextFloat() / 2))
}
