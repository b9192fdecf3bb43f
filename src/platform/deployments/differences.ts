/** Leaves that differ, by their paths, in order: `variants[0].replicas: 1 -> 2`. */
export function differences(before: unknown, after: unknown, path = ''): readonly string[] {
  if (isRecord(before) && isRecord(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])]
    return keys.flatMap((key) =>
      differences(before[key], after[key], Array.isArray(after) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`),
    )
  }
  return before === after ? [] : [`${path}: ${wordsOf(before)} -> ${wordsOf(after)}`]
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function wordsOf(value: unknown): string {
  return value === undefined || value === null ? 'none' : isRecord(value) ? JSON.stringify(value) : String(value)
}
