/** Holders of jobs that are gone, and those of which nobody knows. */
import { expect, test } from 'vitest'
import { type HolderPlace, holderName, isGone, thisPlace } from './holder-place.ts'

const HERE: HolderPlace = { host: 'here', bootId: 'boot-1', pidNamespace: 'pid:[1]', pid: 7 }
const ALIVE = 8
const DEAD = 9

/** On an embedded store, and on one that other machines may share. */
function verdicts(there: Partial<HolderPlace>, here: HolderPlace = HERE): readonly boolean[] {
  const name = holderName({ ...HERE, ...there }, 'holder_x')
  return [false, true].map((isShared) => isGone(name, { here, isShared, isAlive: (pid) => pid === ALIVE }))
}

test.each<[string, Partial<HolderPlace>, readonly boolean[]]>([
  ['a process of this machine that runs', { pid: ALIVE }, [false, false]],
  ['a process of this machine that has ended', { pid: DEAD }, [true, true]],
  ['who had our own number before us', {}, [true, true]],
  ['who had our own number before us, when the host was called otherwise', { host: 'before' }, [true, true]],
  ['a machine of the same name whose process has a number that nobody has here', { bootId: 'boot-2', pid: DEAD }, [true, false]],
  ['a machine of the same name whose process has our number', { bootId: 'boot-2' }, [true, false]],
  ['another container of this machine, each in it process 7', { pidNamespace: 'pid:[2]' }, [true, false]],
  ['another container of this machine', { pidNamespace: 'pid:[2]', pid: DEAD }, [false, false]],
])('%s', (_, there, gone) => {
  expect(verdicts(there)).toEqual(gone)
})

test('where the system says nothing of its boot, numbers count only on an embedded store', () => {
  const nowhere = { ...HERE, bootId: null, pidNamespace: null }
  expect(verdicts({ bootId: null, pidNamespace: null, pid: DEAD }, nowhere)).toEqual([true, false])
  expect(verdicts({ bootId: null, pidNamespace: null, pid: ALIVE }, nowhere)).toEqual([false, false])
  expect(verdicts({ pid: DEAD }, nowhere)).toEqual([false, false])
})

test('names of another form are of holders of which nobody knows', () => {
  for (const name of ['', 'host 9 holder_x', 'a b c d e', 'a b c 1.5 e'])
    expect(isGone(name, { here: HERE, isShared: false, isAlive: () => false })).toBe(false)
})

test('this process is its own predecessor, and alive for nobody else', () => {
  const here = thisPlace()
  expect(here.pid).toBe(process.pid)
  expect(isGone(holderName({ ...here, pid: process.ppid }, 'x'), { here, isShared: true, isAlive: () => true })).toBe(false)
  expect(isGone(holderName(here, 'x'), { here, isShared: true, isAlive: () => true })).toBe(here.bootId !== null)
})
