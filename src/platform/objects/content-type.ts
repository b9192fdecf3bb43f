/** The type of a file of which nobody has said it. */
const TYPES: Readonly<Record<string, string>> = {
  json: 'application/json',
  jsonl: 'application/jsonlines',
  csv: 'text/csv',
  txt: 'text/plain',
  gz: 'application/gzip',
}

export function guessContentType(key: string): string {
  return TYPES[/\.([a-z]+)$/.exec(key)?.[1] ?? ''] ?? 'application/octet-stream'
}
