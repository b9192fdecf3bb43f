/** The `model` field, read first: the rest of a body is decoded against that model's facts. */
import type { JsonObject } from '#server/operation'
import { Fields } from '#server/fields'

const MAX_MODEL_NAME_LENGTH = 256

export function readModelName(body: JsonObject): string {
  const fields = new Fields(body)
  const name = fields.text('model', { minLength: 1, maxLength: MAX_MODEL_NAME_LENGTH })
  if (name === null) throw fields.missing('model')
  return name
}
