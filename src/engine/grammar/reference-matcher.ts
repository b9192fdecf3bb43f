/**
 * What an Automaton means, slowly and plainly: the oracle of the native matcher. A position holds a closed set of configurations; frames
 * are never changed after the position that made them, so that trying a token needs no copy.
 *
 * A token with bytes may be taken as bytes and by a token edge; the sets are joined.
 */
import { ACCEPTS, BOUNDARY, UNBOUNDED, UNCOUNTED, type Automaton } from './automaton.ts'
import { refuseGrammar } from './grammar-limits.ts'
import { MAX_CONFIGURATIONS, type LoadedGrammar, type TokenMatcher, type TokenVocabulary } from './token-matcher.ts'

export function createReferenceVocabulary(tokenBytes: readonly Uint8Array[]): TokenVocabulary {
  return {
    vocabSize: tokenBytes.length,
    load: (automaton: Automaton): LoadedGrammar => ({
      memoryBytes: 0,
      createMatcher: () => new ReferenceMatcher(automaton, tokenBytes),
    }),
  }
}

/** Made by the first call of `rule` at `position`, shared by the others. */
interface Frame {
  readonly rule: number
  readonly position: number
  /** Where to go on, by callerKey: complete once the position is closed. */
  readonly callers: Map<string, Configuration>
  /** The end of this rule may end the text: the root's frame. */
  readonly isRoot: boolean
}

/** As a caller of a frame: the state to return to, the count before the return counts. */
interface Configuration {
  readonly state: number
  readonly count: number
  readonly frame: Frame
}

interface Position {
  readonly index: number
  readonly configurations: readonly Configuration[]
  readonly canEnd: boolean
}

class ReferenceMatcher implements TokenMatcher {
  private readonly automaton: Automaton
  private readonly tokenBytes: readonly Uint8Array[]
  private position: Position

  constructor(automaton: Automaton, tokenBytes: readonly Uint8Array[]) {
    this.automaton = automaton
    this.tokenBytes = tokenBytes
    const root: Frame = { rule: automaton.rootRule, position: 0, callers: new Map(), isRoot: true }
    this.position = this.close(0, [{ state: automaton.ruleStart[automaton.rootRule]!, count: 0, frame: root }], root)
  }

  accept(tokenId: number): boolean {
    const next = this.afterToken(tokenId)
    if (next === null) return false
    this.position = next
    return true
  }

  fillMask(words: Uint32Array): void {
    for (let tokenId = 0; tokenId < this.tokenBytes.length; tokenId++) {
      if (this.afterToken(tokenId) !== null) words[tokenId >> 5]! |= 1 << (tokenId & 31)
    }
  }

  get canEnd(): boolean {
    return this.position.canEnd
  }

  get isComplete(): boolean {
    return this.canEnd && this.nextBytes(this.position).size === 0 && this.nextTokenIds(this.position).size === 0
  }

  forcedBytes(maxBytes: number): Uint8Array {
    const bytes: number[] = []
    let at: Position = this.position
    while (bytes.length < maxBytes && !at.canEnd && this.nextTokenIds(at).size === 0) {
      const [byte, ...others] = this.nextBytes(at)
      if (byte === undefined || others.length > 0) break
      bytes.push(byte)
      at = this.afterBytes(at, Uint8Array.of(byte))!
    }
    return Uint8Array.from(bytes)
  }

  forcedTokenId(): number | null {
    if (this.canEnd || this.nextBytes(this.position).size > 0) return null
    const [tokenId, ...others] = this.nextTokenIds(this.position)
    return tokenId === undefined || others.length > 0 ? null : tokenId
  }

  hasLongerToken(bytes: Uint8Array): boolean {
    return this.tokenBytes.some((token, tokenId) => {
      const isLonger = token.length > bytes.length && bytes.every((byte, index) => byte === token[index])
      return isLonger && this.afterToken(tokenId) !== null
    })
  }

  /** Null: no way on. */
  private afterToken(tokenId: number): Position | null {
    const bytes = this.tokenBytes[tokenId]
    if (bytes === undefined) return null
    const asBytes = bytes.length === 0 ? null : this.afterBytes(this.position, bytes)
    const arrivals = this.leaving(this.position).flatMap((from) => this.tokenTargets(from.state, tokenId).map((state) => this.arrive(state, from)))
    if (arrivals.length === 0) return asBytes
    const asToken = this.close(this.position.index + 1, arrivals, null)
    return asBytes === null ? asToken : this.join(asBytes, asToken)
  }

  private afterBytes(start: Position, bytes: Uint8Array): Position | null {
    let at = start
    for (const byte of bytes) {
      const arrivals: Configuration[] = []
      for (const from of this.leaving(at)) {
        const state = this.byteTarget(from.state, byte)
        if (state !== null) arrivals.push(this.arrive(state, from))
      }
      if (arrivals.length === 0) return null
      at = this.close(at.index + 1, arrivals, null)
    }
    return at
  }

  /** Both spellings of one token: their frames stay apart. */
  private join(a: Position, b: Position): Position {
    const configurations = [...a.configurations, ...b.configurations]
    checkSize(configurations.length)
    return { index: Math.max(a.index, b.index), configurations, canEnd: a.canEnd || b.canEnd }
  }

  /** Returns and calls until nothing is new. `root`: the root's frame where the text begins. */
  private close(index: number, arrivals: readonly Configuration[], root: Frame | null): Position {
    const configurations = new Map<string, Configuration>()
    const frameNumbers = new Map<Frame, number>()
    const madeHere = new Map<number, Frame>()
    let canEnd = root !== null && this.automaton.matchesEmpty
    const keyOf = ({ state, count, frame }: Configuration): string => {
      if (!frameNumbers.has(frame)) frameNumbers.set(frame, frameNumbers.size)
      return `${state} ${count} ${frameNumbers.get(frame)!}`
    }
    const add = (configuration: Configuration): void => {
      const key = keyOf(configuration)
      if (!configurations.has(key)) configurations.set(key, configuration)
      checkSize(configurations.size)
    }
    if (root !== null) madeHere.set(root.rule, root)
    for (const arrival of arrivals) add(arrival)
    // A map's iteration also visits what is added on the way.
    for (const configuration of configurations.values()) {
      const { frame } = configuration
      if (frame.position < index && this.endsRule(configuration)) {
        if (frame.isRoot) canEnd = true
        for (const caller of frame.callers.values()) add(this.arrive(caller.state, caller))
      }
      if (!this.mayLeave(configuration)) continue
      for (const { rule, returnState } of this.callsOf(configuration.state)) {
        const callee = madeHere.get(rule) ?? { rule, position: index, callers: new Map(), isRoot: false }
        madeHere.set(rule, callee)
        const caller = { state: returnState, count: configuration.count, frame }
        callee.callers.set(keyOf(caller), caller)
        add({ state: this.automaton.ruleStart[rule]!, count: 0, frame: callee })
      }
    }
    return { index, configurations: [...configurations.values()], canEnd }
  }

  private arrive(state: number, from: Configuration): Configuration {
    return { state, count: from.count + this.countOnArrival(state, from.count), frame: from.frame }
  }

  private countOnArrival(state: number, count: number): number {
    const rule = this.automaton.stateRule[state]!
    const max = this.automaton.ruleMax[rule]!
    if (max === UNCOUNTED || (this.automaton.stateFlags[state]! & BOUNDARY) === 0) return 0
    return max === UNBOUNDED && count >= this.automaton.ruleMin[rule]! ? 0 : 1
  }

  private isBoundary(state: number): boolean {
    const rule = this.automaton.stateRule[state]!
    return state === this.automaton.ruleStart[rule] || (this.automaton.stateFlags[state]! & BOUNDARY) !== 0
  }

  private mayLeave({ state, count }: Configuration): boolean {
    const max = this.automaton.ruleMax[this.automaton.stateRule[state]!]!
    return max === UNCOUNTED || max === UNBOUNDED || !this.isBoundary(state) || count < max
  }

  /** Whether the frame has read something is for the caller to know. */
  private endsRule({ state, count }: Configuration): boolean {
    if ((this.automaton.stateFlags[state]! & ACCEPTS) === 0) return false
    const rule = this.automaton.stateRule[state]!
    if (this.automaton.ruleMax[rule] === UNCOUNTED) return true
    return this.isBoundary(state) && count >= this.automaton.ruleMin[rule]!
  }

  private leaving(position: Position): Configuration[] {
    return position.configurations.filter((configuration) => this.mayLeave(configuration))
  }

  private nextBytes(position: Position): Set<number> {
    const { byteStarts, byteFirst, byteLast } = this.automaton
    const bytes = new Set<number>()
    for (const { state } of this.leaving(position)) {
      for (let edge = byteStarts[state]!; edge < byteStarts[state + 1]!; edge++) {
        for (let byte = byteFirst[edge]!; byte <= byteLast[edge]!; byte++) bytes.add(byte)
      }
    }
    return bytes
  }

  private nextTokenIds(position: Position): Set<number> {
    const { tokenStarts, tokenIds } = this.automaton
    return new Set(this.leaving(position).flatMap(({ state }) => [...tokenIds.subarray(tokenStarts[state]!, tokenStarts[state + 1]!)]))
  }

  private byteTarget(state: number, byte: number): number | null {
    const { byteStarts, byteFirst, byteLast, byteTarget } = this.automaton
    for (let edge = byteStarts[state]!; edge < byteStarts[state + 1]!; edge++) {
      if (byteFirst[edge]! <= byte && byte <= byteLast[edge]!) return byteTarget[edge]!
    }
    return null
  }

  private tokenTargets(state: number, tokenId: number): number[] {
    const { tokenStarts, tokenIds, tokenTarget } = this.automaton
    const targets: number[] = []
    for (let edge = tokenStarts[state]!; edge < tokenStarts[state + 1]!; edge++) {
      if (tokenIds[edge] === tokenId) targets.push(tokenTarget[edge]!)
    }
    return targets
  }

  private callsOf(state: number): { readonly rule: number; readonly returnState: number }[] {
    const { callStarts, callRule, callReturn } = this.automaton
    const calls: { rule: number; returnState: number }[] = []
    for (let edge = callStarts[state]!; edge < callStarts[state + 1]!; edge++) calls.push({ rule: callRule[edge]!, returnState: callReturn[edge]! })
    return calls
  }
}

function checkSize(numConfigurations: number): void {
  if (numConfigurations > MAX_CONFIGURATIONS) throw refuseGrammar('the grammar is too ambiguous for this text')
}
