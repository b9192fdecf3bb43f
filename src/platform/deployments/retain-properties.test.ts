import { expect, test } from 'vitest'
import type { RetainedProperties, VariantSpec } from '#contract/deployment'
import { type Generation, makeGeneration } from './endpoint-document.ts'
import { retainProperties } from './retain-properties.ts'

const SERVERLESS = { maxConcurrency: 1, provisionedConcurrency: 0, idleTimeoutMs: 1 }

function generation(number: number, variants: readonly Partial<VariantSpec>[]): Generation {
  const specs = variants.map((variant) => ({ name: 'main', model: 'm', weight: 1, replicas: 1, serverless: null, ...variant }))
  return makeGeneration(number, { name: `c${number}`, variants: specs, shadows: [], request: {}, createdMs: 0 }, () => ({
    source: { kind: 'served', model: 'm' },
    kvCacheMib: null,
  }))
}

function kept(retained: RetainedProperties | undefined, scaled: readonly string[] = []): readonly (readonly [number, number])[] {
  const serving = generation(1, [{ replicas: 7, weight: 3 }, { name: 'gone' }, { name: 'lazy', serverless: SERVERLESS, weight: 4 }])
  const next = generation(2, [{ replicas: 2 }, { name: 'new', replicas: 3 }, { name: 'lazy', replicas: 5 }])
  const { variants } = retainProperties(next, { serving, retained, isScaled: (variant) => scaled.includes(variant) })
  return variants.map(({ replicas, weight }) => [replicas, weight] as const)
}

test('weights and counts are those of the configuration where nobody asks for more', () => {
  expect(kept(undefined)).toEqual([
    [2, 1],
    [3, 1],
    [5, 1],
  ])
})

test('what scaling has reached is kept', () => {
  expect(kept(undefined, ['main', 'new'])[0]).toEqual([7, 1])
  expect(kept({ replicas: 'none', weight: false, capture: false }, ['main'])[0]).toEqual([2, 1])
})

test('variants of the same name keep count and weight, new ones begin as they are declared, and serverless ones have no count to give', () => {
  expect(kept({ replicas: 'all', weight: true, capture: false })).toEqual([
    [7, 3],
    [3, 1],
    [5, 4],
  ])
  expect(kept({ replicas: 'none', weight: true, capture: false })[0]).toEqual([2, 3])
})

test('what is captured is kept of the old configuration only when that is asked for', () => {
  const terms = { percent: 5 } as unknown as NonNullable<Generation['capture']>
  const serving = { ...generation(1, [{}]), capture: terms }
  const keep = (capture: boolean): Generation =>
    retainProperties(generation(2, [{}]), { serving, retained: { replicas: 'none', weight: false, capture }, isScaled: () => false })
  expect(keep(true).capture).toBe(terms)
  expect(keep(false)).not.toHaveProperty('capture')
})
