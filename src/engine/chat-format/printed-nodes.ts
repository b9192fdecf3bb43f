/** Finds the nodes of a template that stand in a block, where their value is printed. */

/** Every member of every statement list of the program. */
export function collectPrintedNodes(program: object): ReadonlySet<object> {
  const printed = new Set<object>()
  const pending: object[] = [program]
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (node instanceof Map) pending.push(...[...node.entries()].flat().filter(isObject))
    for (const [field, value] of Object.entries(node)) {
      if (!isObject(value)) continue
      pending.push(value)
      if (Array.isArray(value) && BLOCK_FIELDS.has(field)) for (const statement of value) if (isObject(statement)) printed.add(statement)
    }
  }
  return printed
}

const BLOCK_FIELDS: ReadonlySet<string> = new Set(['body', 'alternate', 'defaultBlock'])

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
