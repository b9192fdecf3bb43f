/** What happens to constraints that cannot be enforced: a strict schema is refused by name, a lax one goes on without them. */
import { InferdError } from '#contract/errors'
import { refuseGrammar } from '../grammar-limits.ts'

export class Enforcement {
  private readonly isLax: boolean

  constructor(unenforced: 'refuse' | 'widen') {
    this.isLax = unenforced === 'widen'
  }

  /** Throws InferdError unless lax. */
  leaveOut(reason: string, place: string): null {
    if (this.isLax) return null
    throw refuseGrammar(reason, place)
  }

  /** What `make` returns; where it refuses: `otherwise` if lax, else the refusal. */
  attempt<Made, Other>(make: () => Made, otherwise: Other): Made | Other {
    try {
      return make()
    } catch (error) {
      if (this.isLax && error instanceof InferdError) return otherwise
      throw error
    }
  }
}
