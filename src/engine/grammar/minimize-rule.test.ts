import { expect, test } from 'vitest'
import { SeededRandom, type Random } from '#base/random'
import { minimizeRule } from './minimize-rule.ts'
import { targetsOf, type DfaState, type RuleDfa } from './rule-dfa.ts'

function randomDfa(random: Random): RuleDfa {
  const numStates = 1 + random.nextInt(12)
  const target = (): number => random.nextInt(numStates)
  const states = Array.from({ length: numStates }, (): DfaState => {
    const bytes: number[] = []
    for (let first = 0; first < 9; first += 3) if (random.nextInt(3) > 0) bytes.push(first, first + random.nextInt(3), target())
    const calls = random.nextInt(3) === 0 ? [random.nextInt(2), target()] : []
    const tokens = random.nextInt(6) === 0 ? [7, target()] : []
    return { accepts: random.nextInt(4) === 0, bytes, calls, tokens }
  })
  return { states }
}

function step(state: DfaState, symbol: number): number | undefined {
  if (symbol < 10) {
    for (let i = 0; i < state.bytes.length; i += 3) if (state.bytes[i]! <= symbol && symbol <= state.bytes[i + 1]!) return state.bytes[i + 2]
    return undefined
  }
  const pairs = symbol < 12 ? state.calls : state.tokens
  const name = symbol < 12 ? symbol - 10 : 7
  return pairs[0] === name ? pairs[1] : undefined
}

const NUM_SYMBOLS = 13

/** Moore's way: pairs that some text tells apart, until nothing changes. Of the states that are reached and reach an end. */
function numDistinct({ states }: RuleDfa): number {
  const reached = new Set([0])
  for (const state of reached) for (const target of targetsOf(states[state]!)) reached.add(target)
  const ends = new Set(states.flatMap(({ accepts }, index) => (accepts ? [index] : [])))
  for (let before = -1; before < ends.size;) {
    before = ends.size
    for (const [index, state] of states.entries()) if (targetsOf(state).some((target) => ends.has(target))) ends.add(index)
  }
  let classOf: string[] = states.map((state, index) => (ends.has(index) ? (state.accepts ? 'a' : 'b') : 'dead'))
  for (let round = 0; round < states.length; round++) {
    const signatures = states.map(
      (state, index) => Array.from({ length: NUM_SYMBOLS }, (_, symbol) => classOf[step(state, symbol) ?? -1] ?? 'dead').join() + classOf[index]!,
    )
    classOf = classOf.map((name, index) => (name === 'dead' ? 'dead' : String(signatures.indexOf(signatures[index]!))))
  }
  return Math.max(1, new Set([...reached].filter((state) => ends.has(state)).map((state) => classOf[state]!)).size)
}

test('a minimized rule has as many states as there are differences, and takes the same symbols', () => {
  const random = new SeededRandom(11)
  for (let round = 0; round < 3_000; round++) {
    const dfa = randomDfa(random)
    const small = minimizeRule(dfa)
    expect(small.states.length, JSON.stringify(dfa)).toBe(numDistinct(dfa))
    for (let walk = 0; walk < 5; walk++) {
      let state: number | undefined = 0
      let smallState: number | undefined = 0
      for (let i = 0; i < 10 && state !== undefined; i++) {
        const symbol = random.nextInt(NUM_SYMBOLS)
        state = step(dfa.states[state]!, symbol)
        if (smallState !== undefined) smallState = step(small.states[smallState]!, symbol)
        const accepts = state !== undefined && dfa.states[state]!.accepts
        expect(smallState !== undefined && small.states[smallState]!.accepts).toBe(accepts)
      }
    }
  }
})
