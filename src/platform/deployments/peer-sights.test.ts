import { expect, test } from 'vitest'
import type { EndpointSight, UnitSight } from './advance-endpoint.ts'
import { type DeploymentReport, mergeSights } from './peer-sights.ts'

const UP: UnitSight = { isUp: true, problem: null }
const DOWN: UnitSight = { isUp: false, problem: null }
const ROW = { name: 'e', createdMs: 5 }

function own(units: Readonly<Record<string, UnitSight>>): EndpointSight {
  return { units: new Map(Object.entries(units)), alarm: null, nowMs: 100, sinceMs: 10 }
}

function seen(units: Readonly<Record<string, UnitSight>>, { createdMs = 5, alarm = null as string | null } = {}): DeploymentReport {
  return { endpoints: { e: { createdMs, units, alarm } } }
}

function merge(here: EndpointSight, ...reports: readonly DeploymentReport[]): EndpointSight {
  return mergeSights(ROW, here, { isLeading: true, ledSinceMs: 60, reports })
}

test('a unit is up where every server has it up', () => {
  expect(merge(own({ u: UP }), seen({ u: UP })).units.get('u')).toEqual(UP)
  expect(merge(own({ u: UP }), seen({ u: UP }), seen({ u: DOWN })).units.get('u')).toEqual(DOWN)
  expect(merge(own({}), seen({ u: UP })).units.get('u')).toEqual(DOWN)
})

test('a server that has not said anything of the endpoint, or of another one of its name, has nothing up', () => {
  expect(merge(own({ u: UP }), { endpoints: {} }).units.get('u')).toEqual(DOWN)
  expect(merge(own({ u: UP }), seen({ u: UP }, { createdMs: 4 })).units.get('u')).toEqual(DOWN)
  expect(merge(own({}), seen({ u: UP }, { createdMs: 4 })).units.get('u')).toBeUndefined()
})

test('one that cannot start it, or whose alarm is on, is enough', () => {
  const problem = { code: 'insufficient_memory', message: 'no room', param: null, retryAfterMs: null } as const
  expect(merge(own({ u: UP }), seen({ u: { isUp: false, problem } })).units.get('u')).toEqual({ isUp: false, problem })
  expect(merge(own({ u: UP }), seen({}, { alarm: 'slow' })).alarm).toBe('slow')
})

test('what is watched counts from when this server leads', () => {
  expect(merge(own({})).sinceMs).toBe(60)
})
