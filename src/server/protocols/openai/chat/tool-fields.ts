/** `tools`, `tool_choice` and `parallel_tool_calls`; the deprecated `functions` and `function_call` are refused by name. */
import type { ToolDefinition, ToolOptions } from '#contract/generate'
import type { DecodeContext } from '#server/operation'
import { checkItemCount, type FieldRules, Fields, invalid, isJsonObject, typeMismatch, unsupported } from '#server/fields'

/** Rules of the fields read here. */
export const TOOL_RULES = {
  tools: 'read',
  tool_choice: 'read',
  parallel_tool_calls: 'read',
  functions: 'read',
  function_call: 'read',
} as const satisfies FieldRules

const NAME = /^[a-zA-Z0-9_-]+$/
const MAX_NAME_LENGTH = 64

/** null = no tools. */
export function readTools(fields: Fields, { limits }: DecodeContext): ToolOptions | null {
  refuseFunctions(fields)
  const items = fields.list('tools', { maxItems: limits.maxTools }) ?? []
  const definitions = items.map((item, index) => readDefinition(item, `tools[${index}]`, limits.maxToolDescriptionLength))
  checkUnique(definitions)
  const parallel = fields.boolean('parallel_tool_calls') ?? true
  const choice = readChoice(fields, definitions)
  if (definitions.length === 0) return null
  return { ...choice, parallel: parallel && typeof choice.choice === 'string' }
}

export function readFunctionName(fields: Fields, key: string): string {
  const name = fields.requiredText(key, { minLength: 1, maxLength: MAX_NAME_LENGTH })
  if (!NAME.test(name)) throw invalid(fields.pathOf(key), `${fields.pathOf(key)} may hold letters, digits, underscores and dashes only`)
  return name
}

function refuseFunctions(fields: Fields): void {
  const functions = fields.list('functions', { maxItems: Number.MAX_SAFE_INTEGER }) ?? []
  if (functions.length > 0) throw unsupported('functions', 'functions is deprecated and not supported by this server; use tools')
  const call = fields.value('function_call') ?? 'auto'
  if (call !== 'none' && call !== 'auto') {
    throw unsupported('function_call', 'function_call is deprecated and not supported by this server; use tool_choice')
  }
}

function readDefinition(item: unknown, path: string, maxDescriptionLength: number): ToolDefinition {
  const tool = functionFields(item, path)
  tool.check({ name: 'read', description: 'read', parameters: 'read', strict: 'read' })
  const parameters = tool.record('parameters')
  const type = tool.nestedFields('parameters')?.value('type') ?? 'object'
  if (type !== 'object') throw invalid(tool.pathOf('parameters'), `${tool.pathOf('parameters')} must be a schema of the type object`)
  return {
    name: readFunctionName(tool, 'name'),
    description: tool.text('description', { maxLength: maxDescriptionLength }),
    parameters,
    strict: tool.boolean('strict') ?? false,
  }
}

/** The `function` of `{type: 'function', function: {...}}`. */
function functionFields(item: unknown, path: string): Fields {
  if (!isJsonObject(item)) throw typeMismatch(path, 'an object', item)
  const fields = new Fields(item, path)
  const type = fields.value('type')
  if (type === undefined) throw fields.missing('type')
  if (type !== 'function')
    throw unsupported(fields.pathOf('type'), `${fields.pathOf('type')}: only tools of the type function are supported by this server`)
  fields.check({ type: 'read', function: 'read' })
  return fields.requiredFields('function')
}

function checkUnique(definitions: readonly ToolDefinition[]): void {
  const seen = new Set<string>()
  for (const [index, { name }] of definitions.entries()) {
    const path = `tools[${index}].function.name`
    if (seen.has(name)) throw invalid(path, `${path} is the name of an earlier tool`)
    seen.add(name)
  }
}

type Choice = Pick<ToolOptions, 'definitions' | 'choice'>

const MODES = ['none', 'auto', 'required'] as const

function readChoice(fields: Fields, definitions: readonly ToolDefinition[]): Choice {
  const value = fields.value('tool_choice') ?? 'auto'
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
  chosen.check({ type: 'read', allowed_tools: 'read' })
  const allowed = chosen.requiredFields('allowed_tools')
  allowed.check({ mode: 'read', tools: 'read' })
  const mode = allowed.word('mode', ['auto', 'required'])
  if (mode === null) throw allowed.missing('mode')
  const path = allowed.pathOf('tools')
  const items = allowed.list('tools', { maxItems: definitions.length })
  if (items === null) throw allowed.missing('tools')
  checkItemCount(items, path, { minItems: 1, maxItems: definitions.length })
  const names = new Set(items.map((item, index) => readKnownName(item, `${path}[${index}]`, definitions)))
  return { definitions: definitions.filter(({ name }) => names.has(name)), choice: mode }
}

/** The name in `{type: 'function', function: {name}}`, which must be that of a tool. */
function readKnownName(item: unknown, path: string, definitions: readonly ToolDefinition[]): string {
  const named = functionFields(item, path)
  named.check({ name: 'read' })
  const name = readFunctionName(named, 'name')
  if (!definitions.some((tool) => tool.name === name))
    throw invalid(named.pathOf('name'), `${named.pathOf('name')} is not the name of one of the tools`)
  return name
}
