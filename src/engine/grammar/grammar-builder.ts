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

  /** Takes the rules of another grammar in; the result is its root. Depth of expressions: bounded by who parsed them. */
  embed(grammar: Grammar): Expr {
    const ids = grammar.rules.map(({ name }) => this.declare(name))
    for (const [index, { body }] of grammar.rules.entries()) this.define(ids[index]!, renumbered(body, ids))
    return { kind: 'rule', id: ids[grammar.root]! }
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

function renumbered(expr: Expr, ids: readonly RuleId[]): Expr {
  switch (expr.kind) {
    case 'rule':
      return { kind: 'rule', id: ids[expr.id]! }
    case 'repeat':
      return { ...expr, body: renumbered(expr.body, ids) }
    case 'sequence':
    case 'choice':
      return { ...expr, items: expr.items.map((item) => renumbered(item, ids)) }
    case 'text':
    case 'chars':
    case 'regular':
    case 'token':
      return expr
  }
}
