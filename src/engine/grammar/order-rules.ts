/** Strongly connected components of a grammar's rules (Tarjan, SIAM J. Comput. 1972), without recursion. */
import type { RuleId } from './grammar.ts'

export interface RuleOrder {
  /** The rules that the root reaches, callees before callers except within a cycle. */
  readonly calleesFirst: readonly RuleId[]
  /** By RuleId: the rule can come back to itself. */
  readonly isRecursive: readonly boolean[]
}

export function orderRules(callees: readonly (readonly RuleId[])[], root: RuleId): RuleOrder {
  const index = new Int32Array(callees.length).fill(-1)
  const lowest = new Int32Array(callees.length)
  const isOpen = new Uint8Array(callees.length)
  const isRecursive = callees.map((list, rule) => list.includes(rule as RuleId))
  const calleesFirst: RuleId[] = []
  const component: RuleId[] = []
  const path: { rule: RuleId; next: number }[] = []
  let numSeen = 0
  const enter = (rule: RuleId): void => {
    index[rule] = lowest[rule] = numSeen++
    isOpen[rule] = 1
    component.push(rule)
    path.push({ rule, next: 0 })
  }

  enter(root)
  while (path.length > 0) {
    const place = path[path.length - 1]!
    const { rule } = place
    if (place.next < callees[rule]!.length) {
      const callee = callees[rule]![place.next++]!
      if (index[callee] === -1) enter(callee)
      else if (isOpen[callee] === 1) lowest[rule] = Math.min(lowest[rule]!, index[callee]!)
      continue
    }
    path.pop()
    const parent = path[path.length - 1]
    if (parent !== undefined) lowest[parent.rule] = Math.min(lowest[parent.rule]!, lowest[rule]!)
    if (lowest[rule] === index[rule]) closeComponent(rule)
  }
  return { calleesFirst, isRecursive }

  function closeComponent(first: RuleId): void {
    const members = component.splice(component.lastIndexOf(first))
    for (const member of members.reverse()) {
      isOpen[member] = 0
      if (members.length > 1) isRecursive[member] = true
      calleesFirst.push(member)
    }
  }
}
