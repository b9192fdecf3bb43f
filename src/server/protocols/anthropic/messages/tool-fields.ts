/** `tools` and `tool_choice`. Tools that Anthropic runs itself are refused by their type. */
import type { ToolDefinition, ToolOptions } from '#contract/generate'
import { Fields, invalid, isJsonObject, typeMismatch, unsupported } from '#server/fields'
import type { DecodeContext } from '#server/operation'
import { readCacheControl } from './cache-control.ts'

const NAME = /^[a-zA-Z0-9_-]{1,128}$/
const CHOICES = ['auto', 'any', 'tool', 'none'] as const

export interface ToolFields {
  /** null = no tools. */
  readonly tools: ToolOptions | null
  readonly cachePoint: boolean
}

export function readTools(fields: Fields, { limits }: DecodeContext): ToolFields {
  const items = fields.list('tools', { maxItems: limits.maxTools }) ?? []
  let cachePoint = false
  const definitions = items.map((item, index): ToolDefinition => {
    const path = `tools[${index}]`
    if (!isJsonObject(item)) throw typeMismatch(path, 'an object', item)
    const tool = new Fields(item, path)
    const definition = readDefinition(tool, limits.maxToolDescriptionLength)
    if (readCacheControl(tool)) cachePoint = true
    return definition
  })
  const names = new Set<string>()
  for (const [index, { name }] of definitions.entries()) {
    if (names.has(name)) throw invalid(`tools[${index}].name`, `tools[${index}].name is the name of an earlier tool`)
    names.add(name)
  }
  const choice = fields.nestedFields('tool_choice')
  if (choice !== null && definitions.length === 0) throw invalid('tool_choice', 'tool_choice is only allowed when tools are given')
  if (definitions.length === 0) return { tools: null, cachePoint: false }
  return { tools: { definitions, ...readChoice(choice, names) }, cachePoint }
}

export function readToolName(fields: Fields, key: string): string {
  const name = fields.requiredText(key)
  if (!NAME.test(name)) throw invalid(fields.pathOf(key), `${fields.pathOf(key)} must have 1 to 128 letters, digits, underscores and dashes`)
  return name
}

function readDefinition(tool: Fields, maxDescriptionLength: number): ToolDefinition {
  const type = tool.value('type') ?? 'custom'
  if (type !== 'custom') throw unsupported(tool.pathOf('type'), `${tool.pathOf('type')}: only tools of the type custom are supported by this server`)
  tool.check({
    type: 'read',
    name: 'read',
    description: 'read',
    input_schema: 'read',
    strict: 'read',
    cache_control: 'read',
    eager_input_streaming: () => true,
    defer_loading: (value) => value === false,
    allowed_callers: (value) => Array.isArray(value) && value.every((caller) => caller === 'direct'),
    input_examples: (value) => Array.isArray(value) && value.length === 0,
  })
  const schema = tool.requiredFields('input_schema')
  if ((schema.value('type') ?? 'object') !== 'object') throw invalid(schema.pathOf('type'), `${schema.pathOf('type')} must be object`)
  return {
    name: readToolName(tool, 'name'),
    description: tool.text('description', { maxLength: maxDescriptionLength }),
    parameters: tool.record('input_schema'),
    strict: tool.boolean('strict') ?? false,
  }
}

function readChoice(choice: Fields | null, names: ReadonlySet<string>): Pick<ToolOptions, 'choice' | 'parallel'> {
  if (choice === null) return { choice: 'auto', parallel: true }
  choice.check({ type: 'read', name: 'read', disable_parallel_tool_use: 'read' })
  const type = choice.word('type', CHOICES)
  const parallel = choice.boolean('disable_parallel_tool_use') !== true
  switch (type) {
    case null:
      throw choice.missing('type')
    case 'auto':
      return { choice: 'auto', parallel }
    case 'any':
      return { choice: 'required', parallel }
    case 'none':
      return { choice: 'none', parallel }
    case 'tool': {
      const name = readToolName(choice, 'name')
      if (!names.has(name)) throw invalid(choice.pathOf('name'), `${choice.pathOf('name')} is not the name of one of the tools`)
      return { choice: { name }, parallel: false }
    }
  }
}
