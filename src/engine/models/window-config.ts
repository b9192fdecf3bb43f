/**
 * Which layers look only at a sliding window of the context, from both kinds of configuration.
 */
import type { ModelConfig } from './architecture.ts'
import { RANGES, type ConfigFields } from './config-fields.ts'

type Window = ModelConfig['window']

/**
 * From GGUF metadata: `attention.sliding_window` with `attention.sliding_window_pattern`, a list of local layers or a period
 * (of every `period` layers the last is global; 0: all are local), which most files leave to the architecture.
 */
export function readGgufWindow(fields: ConfigFields, numLayers: number, defaultPeriod: number): Window {
  const size = fields.integerOr('.attention.sliding_window', { min: 0, max: RANGES.contextLength.max }, 0)
  if (size === 0) return null
  const key = '.attention.sliding_window_pattern'
  if (!fields.isList(key)) return { size, isLocalLayer: localByPeriod(numLayers, fields.integerOr(key, { min: 0, max: RANGES.layers.max }, defaultPeriod)) }
  const pattern = fields.numbers(key)
  if (pattern.length < numLayers) throw fields.fault(key, `has ${pattern.length} entries, ${numLayers} layers expected`)
  return { size, isLocalLayer: pattern.slice(0, numLayers).map((isLocal) => isLocal !== 0) }
}

/** From config.json `layer_types`, else by the rule of the architecture. size null: no window at all. */
export function readHuggingFaceWindow(
  fields: ConfigFields,
  options: { readonly size: number | null; readonly numLayers: number; readonly defaultIsLocal: readonly boolean[] },
): Window {
  const { size, numLayers, defaultIsLocal } = options
  if (size === null) return null
  const types = fields.textsOr('layer_types', null)
  if (types === null) return { size, isLocalLayer: defaultIsLocal }
  if (types.length !== numLayers) throw fields.fault('layer_types', `has ${types.length} entries, ${numLayers} layers expected`)
  return { size, isLocalLayer: types.map((type) => isLocalType(fields, type)) }
}

/** Qwen's rule: with `use_sliding_window`, layers from `max_window_layers` on are local unless `layer_types` says otherwise. */
export function readQwenWindow(fields: ConfigFields, numLayers: number): Window {
  if (!fields.booleanOr('use_sliding_window', false)) return null
  const size = fields.integerOr('sliding_window', RANGES.contextLength, fields.has('sliding_window') ? null : 4096)
  const firstLocalLayer = fields.integerOr('max_window_layers', { min: 0, max: RANGES.layers.max }, 28)
  return readHuggingFaceWindow(fields, { size, numLayers, defaultIsLocal: Array.from({ length: numLayers }, (_, layer) => layer >= firstLocalLayer) })
}

/** Of every `period` layers the last is global; period 0: all layers are local. */
export function localByPeriod(numLayers: number, period: number): readonly boolean[] {
  return Array.from({ length: numLayers }, (_, layer) => period === 0 || layer % period < period - 1)
}

function isLocalType(fields: ConfigFields, type: string): boolean {
  if (type === 'sliding_attention') return true
  if (type === 'full_attention') return false
  throw fields.unsupported('layer_types', `has ${JSON.stringify(type)}, supported are full_attention and sliding_attention`)
}
