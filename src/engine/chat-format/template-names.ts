/** The variables that a template mentions: what it can be told. */

/** Every name that stands in an expression, its own variables included. */
export function collectNames(program: object): ReadonlySet<string> {
  const names = new Set<string>()
  const pending: object[] = [program]
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if ('type' in node && node.type === 'Identifier' && 'value' in node && typeof node.value === 'string') names.add(node.value)
    const inner: readonly unknown[] = node instanceof Map ? [...node.entries()].flat() : Object.values(withoutFieldName(node))
    for (const value of inner) if (typeof value === 'object' && value !== null) pending.push(value)
  }
  return names
}

/** What follows a dot, `message.tools`, is no variable. */
function withoutFieldName(node: object): object {
  const isField = 'type' in node && node.type === 'MemberExpression' && 'computed' in node && node.computed === false
  return isField && 'object' in node ? { object: node.object } : node
}
