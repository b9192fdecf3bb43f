/** `tools`, `tool_choice` and `parallel_tool_calls` in the flat form of the Responses API. Only functions are offered. */
import type { JsonRecord, ToolDefinition, ToolOptions } from '#contract/generate'
import { readFunctionName } from '#server/protocols/openai/chat/tool-fields'
import { type FieldRules, Fields, invalid, isJsonObject, typeMismatch, unsupported } from '#server/fields'
import type { ProtocolLimits } from '#server/operation'

/** Rules of the fields read here. */
export const TOOL_RULES = { tools: 'read', tool_choice: 'read', parallel_tool_calls: 'read' } as const satisfies FieldRules

export interface ToolFields {
  /** null = no tools. */
  readonly options: ToolOptions | null
  /** As the answer repeats them. */
  readonly tools: readonly JsonRecord[]
  readonly toolChoice: unknown
  readonly parallel: boolean
}

const MODES = ['none', 'auto', 'required'] as const

export function readToolFields(fields: Fields, limits: ProtocolLimits): ToolFields {
  const items = fields.list('tools', { maxItems: limits.maxTools }) ?? []
  const definitions = items.map((item, index) => readDefinition(item, `tools[${index}]`, limits.maxToolDescriptionLength))
  checkUnique(definitions)
  const parallel = fields.boolean('parallel_tool_calls') ?? true
  const toolChoice = fields.value('tool_choice') ?? 'auto'
  const chosen = readChoice(toolChoice, definitions)
  const options = definitions.length === 0 ? null : { ...chosen, parallel: parallel && typeof chosen.choice === 'string' }
  return { options, tools: definitions.map(encodeTool), toolChoice, parallel }
}

function readDefinition(item: unknown, path: string, maxDescriptionLength: number): ToolDefinition {
  const tool = functionFields(item, path)
  tool.check({ type: 'read', name: 'read', description: 'read', parameters: 'read', strict: 'read' })
  const type = tool.nestedFields('parameters')?.value('type') ?? 'object'
  if (type !== 'object') throw invalid(tool.pathOf('parameters'), `${tool.pathOf('parameters')} must be a schema of the type object`)
  return {
    name: readFunctionName(tool, 'name'),
    description: tool.text('description', { maxLength: maxDescriptionLength }),
    parameters: tool.record('parameters'),
    strict: tool.boolean('strict') ?? false,
  }
}

function encodeTool({ name, description, parameters, strict }: ToolDefinition): JsonRecord {
  return { type: 'function', name, description, parameters, strict }
}

function functionFields(item: unknown, path: string): Fields {
  if (!isJsonObject(item)) throw typeMismatch(path, 'an object', item)
  const fields = new Fields(item, path)
  const type = fields.value('type')
  if (type === undefined) throw fields.missing('type')
  if (type !== 'function') {
    throw unsupported(`${path}.type`, `${path}.type: only tools of the type function are supported by this server`)
  }
  return fields
}

function checkUnique(definitions: readonly ToolDefinition[]): void {
  const seen = new Set<string>()
  for (const [index, { name }] of definitions.entries()) {
    if (seen.has(name)) throw invalid(`tools[${index}].name`, `tools[${index}].name is the name of an earlier tool`)
    seen.add(name)
  }
}

type Choice = Pick<ToolOptions, 'definitions' | 'choice'>

function readChoice(value: unknown, definitions: readonly ToolDefinition[]): Choice {
  if (definitions.length === 0 && value !== 'none' && value !== 'auto') {
    throw invalid('tool_choice', 'tool_choice is only allowed when tools are given')
  }
  if (!isJsonObject(value)) {
    const choice = MODES.find((mode) => mode === value)
    if (choice === undefined) throw invalid('tool_choice', 'tool_choice must be none, auto, required or an object that names a function')
    return { definitions, choice }
  }
  const chosen = new Fields(value, 'tool_choice')
  if (chosen.value('type') === 'allowed_tools') return readAllowed(chosen, definitions)
  return { definitions, choice: { name: readKnownName(value, 'tool_choice', definitions) } }
}

/** The model is shown the allowed tools only. */
function readAllowed(chosen: Fields, definitions: readonly ToolDefinition[]): Choice {
  chosen.check({ type: 'read', mode: 'read', tools: 'read' })
  const mode = chosen.word('mode', ['auto', 'required'])
  if (mode === null) throw chosen.missing('mode')
  const items = chosen.list('tools', { minItems: 1, maxItems: definitions.length })
  if (items === null) throw chosen.missing('tools')
  const names = new Set(items.map((item, index) => readKnownName(item, `tool_choice.tools[${index}]`, definitions)))
  return { definitions: definitions.filter(({ name }) => names.has(name)), choice: mode }
}

function readKnownName(item: unknown, path: string, definitions: readonly ToolDefinition[]): string {
  const named = functionFields(item, path)
  named.check({ type: 'read', name: 'read' })
  const name = readFunctionName(named, 'name')
  if (!definitions.some((tool) => tool.name === name)) throw invalid(`${path}.name`, `${path}.name is not the name of one of the tools`)
  return name
}
