/** Automata written by hand or drawn at random, without the compiler: tables that no grammar of ours would lead to are tables too. */
import { ACCEPTS, BOUNDARY, FREE_TEXT, UNBOUNDED, UNCOUNTED, type Automaton } from '#engine/grammar/automaton'
import type { Random } from '#base/random'

interface StateDraft {
  readonly rule: number
  flags: number
  readonly bytes: { first: number; last: number; target: number }[]
  readonly calls: { rule: number; returnState: number }[]
  readonly tokens: { tokenId: number; target: number }[]
}

export class AutomatonDraft {
  private readonly rules: { start: number; min: number; max: number }[] = []
  private readonly states: StateDraft[] = []

  /** Its first state becomes its start. */
  rule(min = 0, max: number = UNCOUNTED): number {
    return this.rules.push({ start: -1, min, max }) - 1
  }

  state(rule: number, flags = 0): number {
    const state = this.states.push({ rule, flags, bytes: [], calls: [], tokens: [] }) - 1
    if (this.rules[rule]!.start === -1) this.rules[rule]!.start = state
    return state
  }

  flag(state: number, flags: number): void {
    this.states[state]!.flags |= flags
  }

  /** Bytes first to last, given as numbers or characters; disjoint from the state's others. */
  bytes(from: number, first: number | string, last: number | string, target: number): void {
    this.states[from]!.bytes.push({ first: byteOf(first), last: byteOf(last), target })
  }

  /** A chain of new states behind `from`, the last of which is returned. */
  text(from: number, text: string): number {
    let at = from
    for (const char of text) {
      const next = this.state(this.states[from]!.rule)
      this.bytes(at, char, char, next)
      at = next
    }
    return at
  }

  call(from: number, rule: number, returnState: number): void {
    this.states[from]!.calls.push({ rule, returnState })
  }

  token(from: number, tokenId: number, target: number): void {
    this.states[from]!.tokens.push({ tokenId, target })
  }

  /** Makes a state free text: its own loop over the code points that stand for themselves in a JSON string. */
  freeText(state: number): void {
    const { rule } = this.states[state]!
    this.flag(state, FREE_TEXT)
    for (const [first, last] of [[0x20, 0x21], [0x23, 0x5b], [0x5d, 0x7f]] as const) this.bytes(state, first, last, state) // prettier-ignore
    const last = this.state(rule)
    const lastButOne = this.state(rule)
    this.bytes(last, 0x80, 0xbf, state)
    this.bytes(lastButOne, 0x80, 0xbf, last)
    this.bytes(state, 0xc2, 0xdf, last)
    const from = (lead: number, lastLead: number, first: number, lastSecond: number, target: number): void => {
      const second = this.state(rule)
      this.bytes(state, lead, lastLead, second)
      this.bytes(second, first, lastSecond, target)
    }
    from(0xe0, 0xe0, 0xa0, 0xbf, last)
    this.bytes(state, 0xe1, 0xec, lastButOne)
    from(0xed, 0xed, 0x80, 0x9f, last)
    this.bytes(state, 0xee, 0xef, lastButOne)
    from(0xf0, 0xf0, 0x90, 0xbf, lastButOne)
    from(0xf1, 0xf3, 0x80, 0xbf, lastButOne)
    from(0xf4, 0xf4, 0x80, 0x8f, lastButOne)
  }

  build(rootRule = 0, matchesEmpty = false): Automaton {
    const edges = this.states.map((state) => state.bytes.toSorted((a, b) => a.first - b.first))
    return {
      numStates: this.states.length,
      numRules: this.rules.length,
      rootRule,
      matchesEmpty,
      ruleStart: Int32Array.from(this.rules, (rule) => rule.start),
      ruleMin: Int32Array.from(this.rules, (rule) => rule.min),
      ruleMax: Int32Array.from(this.rules, (rule) => rule.max),
      stateRule: Int32Array.from(this.states, (state) => state.rule),
      stateFlags: Uint8Array.from(this.states, (state) => state.flags),
      byteStarts: startsOf(edges),
      byteFirst: Uint8Array.from(edges.flat(), (edge) => edge.first),
      byteLast: Uint8Array.from(edges.flat(), (edge) => edge.last),
      byteTarget: Int32Array.from(edges.flat(), (edge) => edge.target),
      callStarts: startsOf(this.states.map((state) => state.calls)),
      callRule: Int32Array.from(this.states.flatMap((state) => state.calls.map((call) => call.rule))),
      callReturn: Int32Array.from(this.states.flatMap((state) => state.calls.map((call) => call.returnState))),
      tokenStarts: startsOf(this.states.map((state) => state.tokens)),
      tokenIds: Int32Array.from(this.states.flatMap((state) => state.tokens.map((token) => token.tokenId))),
      tokenTarget: Int32Array.from(this.states.flatMap((state) => state.tokens.map((token) => token.target))),
    }
  }
}

/** A JSON value: nested objects and arrays, escapes, numbers; strings of at most `maxChars` code points; blanks where `hasBlanks`. */
export function jsonAutomaton(options: { readonly maxChars?: number; readonly hasBlanks?: boolean } = {}): Automaton {
  const draft = new AutomatonDraft()
  const [value, object, array, string, number] = [draft.rule(), draft.rule(), draft.rule(), draft.rule(), draft.rule()] as const
  const [valueStart, valueEnd] = [draft.state(value), draft.state(value, ACCEPTS)]
  for (const rule of [object, array, string, number]) draft.call(valueStart, rule, valueEnd)
  for (const word of ['true', 'false', 'null']) draft.flag(draft.text(valueStart, word), ACCEPTS)

  const blanks = (state: number): number => {
    if (options.hasBlanks === true) for (const blank of ' \n\t') draft.bytes(state, blank, blank, state)
    return state
  }
  const openObject = blanks(draft.text(draft.state(object), '{'))
  const [afterKey, beforeValue, afterPair] = [0, 0, 0].map(() => blanks(draft.state(object)))
  const beforeKey = blanks(draft.state(object))
  for (const place of [openObject, beforeKey]) draft.call(place, string, afterKey!)
  draft.bytes(afterKey!, ':', ':', beforeValue!)
  draft.call(beforeValue!, value, afterPair!)
  draft.bytes(afterPair!, ',', ',', beforeKey)
  for (const place of [openObject, afterPair!]) draft.bytes(place, '}', '}', draft.state(object, ACCEPTS))

  const openArray = blanks(draft.text(draft.state(array), '['))
  const [beforeItem, afterItem] = [blanks(draft.state(array)), blanks(draft.state(array))]
  for (const place of [openArray, beforeItem]) draft.call(place, value, afterItem)
  draft.bytes(afterItem, ',', ',', beforeItem)
  for (const place of [openArray, afterItem]) draft.bytes(place, ']', ']', draft.state(array, ACCEPTS))

  addString(draft, string, options.maxChars ?? null)
  addNumber(draft, number)
  return draft.build(value)
}

/** As the compiler writes them: a string without a bound is one rule, one with a bound calls a counted rule of characters. */
function addString(draft: AutomatonDraft, rule: number, maxChars: number | null): void {
  const inside = draft.text(draft.state(rule), '"')
  const closed = draft.state(rule, ACCEPTS)
  draft.bytes(inside, '"', '"', closed)
  if (maxChars === null) {
    draft.freeText(inside)
    addEscapes(draft, inside, inside)
    return
  }
  const chars = draft.rule(0, maxChars)
  const char = draft.state(chars, ACCEPTS | BOUNDARY)
  draft.freeText(char)
  addEscapes(draft, char, char)
  const afterChars = draft.state(rule)
  draft.call(inside, chars, afterChars)
  draft.bytes(afterChars, '"', '"', closed)
}

function addEscapes(draft: AutomatonDraft, from: number, target: number): void {
  const escape = draft.text(from, '\\')
  for (const char of '"\\/bfnrt') draft.bytes(escape, char, char, target)
  let at = draft.text(escape, 'u')
  for (let digit = 0; digit < 4; digit++) {
    const next = digit === 3 ? target : draft.text(at, '0')
    if (digit === 3) draft.bytes(at, '0', '0', next)
    draft.bytes(at, '1', '9', next)
    draft.bytes(at, 'a', 'f', next)
    at = next
  }
}

function addNumber(draft: AutomatonDraft, rule: number): void {
  const start = draft.state(rule)
  const digits = draft.state(rule, ACCEPTS)
  draft.bytes(start, '0', '9', digits)
  draft.bytes(draft.text(start, '-'), '0', '9', digits)
  draft.bytes(digits, '0', '9', digits)
  const point = draft.text(digits, '.')
  const fraction = draft.state(rule, ACCEPTS)
  draft.bytes(point, '0', '9', fraction)
  draft.bytes(fraction, '0', '9', fraction)
}

/** Any tables of the contract over the bytes a to d and quotes: left and right recursion, ambiguity, counts, dead ends, free text, tokens. */
export function randomAutomaton(random: Random, vocabSize: number): Automaton {
  const draft = new AutomatonDraft()
  const numRules = 1 + random.nextInt(4)
  for (let rule = 0; rule < numRules; rule++) {
    const min = random.nextInt(4)
    if (random.nextInt(3) === 0) draft.rule(min, random.nextInt(3) === 0 ? UNBOUNDED : min + random.nextInt(4))
    else draft.rule()
  }
  const statesOf = Array.from({ length: numRules }, (_, rule) => Array.from({ length: 1 + random.nextInt(5) }, () => draft.state(rule)))
  for (const states of statesOf) {
    for (const state of states) {
      const target = (): number => states[random.nextInt(states.length)]!
      if (random.nextInt(3) === 0) draft.flag(state, ACCEPTS)
      if (random.nextInt(2) === 0) draft.flag(state, BOUNDARY)
      if (random.nextInt(10) === 0) draft.freeText(state)
      else for (const byte of 'abcdé') if (random.nextInt(3) === 0) draft.bytes(state, byte.charCodeAt(0), byte.charCodeAt(0), target())
      if (random.nextInt(4) === 0) draft.bytes(state, '"', '"', target())
      for (let calls = random.nextInt(8) - 5; calls > 0; calls--) draft.call(state, random.nextInt(numRules), target())
      if (random.nextInt(12) === 0) draft.token(state, random.nextInt(vocabSize), target())
    }
  }
  return draft.build(random.nextInt(numRules), random.nextInt(2) === 0)
}

function byteOf(value: number | string): number {
  return typeof value === 'number' ? value : value.charCodeAt(0)
}

function startsOf(lists: readonly (readonly unknown[])[]): Int32Array<ArrayBuffer> {
  const starts = new Int32Array(lists.length + 1)
  lists.forEach((list, index) => (starts[index + 1] = starts[index]! + list.length))
  return starts
}
