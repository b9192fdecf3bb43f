/** What building automata may cost: states of each one on the way, and steps altogether. Counted, never timed, so that a refusal repeats. */
import { type GrammarLimits, refuseGrammar } from './grammar-limits.ts'

/** Steps (edges followed, set members visited) for each state of maxCharStates; all of them take about a tenth of a second. */
const STEPS_PER_STATE = 128
/** What any construction costs before it has done anything, in steps: many small ones are not free. */
const CONSTRUCTION_STEPS = 100

export class CharBudget {
  readonly maxStates: number
  private readonly steps: { left: number }
  readonly place: string

  /** One budget serves one source (a schema, a pattern, a grammar): its steps are shared by all that is built with it. */
  constructor(limits: Pick<GrammarLimits, 'maxCharStates'>, place = '', shared: { left: number } | null = null) {
    this.maxStates = limits.maxCharStates
    this.place = place
    this.steps = shared ?? { left: limits.maxCharStates * STEPS_PER_STATE }
  }

  /** The same budget with another place in its refusals (see refuseGrammar). */
  at(place: string): CharBudget {
    return new CharBudget({ maxCharStates: this.maxStates }, place, this.steps)
  }

  /** The same steps, for automata of another size. */
  withMaxStates(maxStates: number): CharBudget {
    return new CharBudget({ maxCharStates: maxStates }, this.place, this.steps)
  }

  get stepsLeft(): number {
    return this.steps.left
  }

  /** Before each subset construction or product. */
  startConstruction(): void {
    this.spend(CONSTRUCTION_STEPS)
  }

  /** Throws InferdError when the steps are used up. */
  spend(numSteps: number): void {
    this.steps.left -= numSteps
    if (this.steps.left < 0) throw refuseGrammar('the patterns are too complex: building their automata takes too many steps', this.place)
  }

  /** Throws InferdError when one automaton would have too many states. */
  checkStates(numStates: number): void {
    if (numStates > this.maxStates)
      throw refuseGrammar(`a pattern is too complex: its automaton would have more than ${this.maxStates} states`, this.place)
  }
}
