/** JSON whose numbers keep their digits: an id of 19 digits that goes in comes out as it was. */

interface RawJson {
  /** As they are in ECMAScript's "JSON.parse source text access". */
  parse(text: string, revive: (key: string, value: unknown, context: { readonly source?: string }) => unknown): unknown
  rawJSON(text: string): unknown
}

const json = JSON as unknown as RawJson

/** undefined = it is not JSON. Numbers that would come out otherwise are opaque values that JSON.stringify writes. */
export function parseExactJson(text: string): unknown {
  try {
    return json.parse(text, (_key, value, { source }) => (typeof value === 'number' && String(value) !== source ? json.rawJSON(source ?? '') : value))
  } catch {
    return undefined
  }
}
