/** Collects the rules of one grammar. A rule may be declared before it is defined, so that rules can refer to each other. */
import { assert } from '#base/assert'
import type { Expr, Grammar, Rule, RuleId } from './grammar.ts'

export class GrammarBuilder {
  private readonly names: string[] = []
  private readonly bodies: (Expr | null)[] = []
  private readonly taken = new Set<string>()

  get numRules(): number {
    return this.names.length
  }

  /** A new rule without a body. A name that is taken gets a number behind it. */
  declare(name: string): RuleId {
    const id = this.names.length
    const unique = this.taken.has(name) ? `${name}-${id}` : name
    this.taken.add(unique)
    this.names.push(unique)
    this.bodies.push(null)
    return id as RuleId
  }

  define(id: RuleId, body: Expr): void {
    assert(this.bodies[id] === null, 'a rule is defined once')
    this.bodies[id] = body
  }

  /** Declares, defines, and returns a reference. */
  add(name: string, body: Expr): Expr {
    const id = this.declare(name)
    this.define(id, body)
    return { kind: 'rule', id }
  }

  /** Asserts that every declared rule has its body. */
  build(root: RuleId): Grammar {
    const rules = this.names.map((name, id): Rule => {
      const body = this.bodies[id]
      assert(body !== null && body !== undefined, `rule ${name} has no body`)
      return { name, body }
    })
    return { rules, root }
  }
}
