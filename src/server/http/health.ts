/** Readiness: an answer from each model's own step loop, not from the listener. */
import type { Clock } from '#base/clock'
import { toErrorRecord } from '#contract/errors'
import type { ModelDirectory, ServedModel } from '#platform/registry/served-model'

export interface ModelHealth {
  readonly name: string
  readonly state: ServedModel['state']['kind'] | 'waking' | 'unresponsive'
  /** 0 to 1 while loading or waking. */
  readonly progress?: number
  /** Why it failed, or why a sleeping model's last start did. */
  readonly error?: string
  /** While ready. */
  readonly load?: { readonly running: number; readonly waiting: number; readonly kvBlocks: number; readonly kvBlocksFree: number }
}

export interface Readiness {
  readonly status: 'ready' | 'not_ready'
  /** What is missing, in words; empty when ready. */
  readonly missing: readonly string[]
  readonly models: readonly ModelHealth[]
}

export interface ReadinessArguments {
  readonly models: ModelDirectory
  readonly clock: Clock
  readonly probeTimeoutMs: number
  readonly draining: boolean
}

/** A model that sleeps is ready to be called. */
const READY_STATES: ReadonlySet<ModelHealth['state']> = new Set(['ready', 'asleep', 'waking'])

export async function checkReadiness({ models, clock, probeTimeoutMs, draining }: ReadinessArguments): Promise<Readiness> {
  // The directory is the operator's list, not a caller's: its size bounds the fan-out.
  const health = await Promise.all(models.list().map((model) => checkModel(model, clock, probeTimeoutMs)))
  const missing = health.filter(({ state }) => !READY_STATES.has(state)).map(({ name, state }) => `model ${name} is ${state}`)
  if (health.length === 0) missing.push('no model is configured')
  if (draining) missing.push('the server is shutting down')
  return { status: missing.length === 0 ? 'ready' : 'not_ready', missing, models: health }
}

async function checkModel(model: ServedModel, clock: Clock, probeTimeoutMs: number): Promise<ModelHealth> {
  const { name, state } = model
  if (state.kind === 'loading') return { name, state: 'loading', progress: progressOf(state) }
  if (state.kind === 'asleep') return checkSleeper(name, state)
  if (state.kind === 'failed') return { name, state: 'failed', error: state.error.code }
  if (state.kind === 'stopping') return { name, state: 'stopping' }
  return probeModel(model, clock, probeTimeoutMs)
}

function checkSleeper(name: string, { waking, problem }: Extract<ServedModel['state'], { kind: 'asleep' }>): ModelHealth {
  if (waking !== null) return { name, state: 'waking', progress: progressOf(waking) }
  return { name, state: 'asleep', ...(problem === null ? {} : { error: problem.code }) }
}

function progressOf({ loadedBytes, totalBytes }: { readonly loadedBytes: number; readonly totalBytes: number }): number {
  return totalBytes === 0 ? 0 : loadedBytes / totalBytes
}

async function probeModel(model: ServedModel, clock: Clock, probeTimeoutMs: number): Promise<ModelHealth> {
  const { name } = model
  const settled = new AbortController()
  const probing = new AbortController()
  const timeout = clock.sleep(probeTimeoutMs, settled.signal).then(
    () => null,
    () => null,
  )
  try {
    const load = await Promise.race([model.probe(probing.signal), timeout])
    if (load === null) return { name, state: 'unresponsive' }
    const { numRunning, numWaiting, numBlocks, numFreeBlocks } = load
    return { name, state: 'ready', load: { running: numRunning, waiting: numWaiting, kvBlocks: numBlocks, kvBlocksFree: numFreeBlocks } }
  } catch (error) {
    return { name, state: 'unresponsive', error: toErrorRecord(error).code }
  } finally {
    settled.abort()
    probing.abort()
  }
}
