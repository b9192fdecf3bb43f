/** `toolConfig`. Tools that the service runs itself are refused. */
import type { ToolDefinition, ToolOptions } from '#contract/generate'
import { Fields, invalid, isJsonObject, typeMismatch } from '#server/fields'
import type { DecodeContext } from '#server/operation'
import { checkCachePoint } from './cache-point.ts'
import { readMember } from './union-field.ts'

const NAME = /^[a-zA-Z0-9_-]{1,64}$/

export interface ToolFields {
  /** null = no tools. */
  readonly tools: ToolOptions | null
  readonly cachePoint: boolean
}

export function readTools(fields: Fields, { limits }: DecodeContext): ToolFields {
  const config = fields.nestedFields('toolConfig')
  if (config === null) return { tools: null, cachePoint: false }
  config.check({ tools: 'read', toolChoice: 'read' })
  const items = config.list('tools', { minItems: 1, maxItems: limits.maxTools })
  if (items === null) throw config.missing('tools')
  let cachePoint = false
  const definitions: ToolDefinition[] = []
  for (const [index, item] of items.entries()) {
    const path = `${config.pathOf('tools')}[${index}]`
    if (!isJsonObject(item)) throw typeMismatch(path, 'an object', item)
    const tool = new Fields(item, path)
    if (readMember(tool, path, { known: ['toolSpec', 'cachePoint'], refused: ['systemTool'] }) === 'cachePoint') {
      checkCachePoint(tool)
      cachePoint = true
    } else {
      const definition = readDefinition(tool.requiredFields('toolSpec'), limits.maxToolDescriptionLength)
      if (definitions.some(({ name }) => name === definition.name))
        throw invalid(`${path}.toolSpec.name`, `${path}.toolSpec.name is the name of an earlier tool`)
      definitions.push(definition)
    }
  }
  if (definitions.length === 0) throw invalid(config.pathOf('tools'), `${config.pathOf('tools')} must have at least one toolSpec`)
  return { tools: { definitions, choice: readChoice(config, definitions), parallel: true }, cachePoint }
}

export function readToolName(fields: Fields, key: string): string {
  const name = fields.requiredText(key)
  if (!NAME.test(name)) throw invalid(fields.pathOf(key), `${fields.pathOf(key)} must have 1 to 64 letters, digits, underscores and dashes`)
  return name
}

function readDefinition(spec: Fields, maxDescriptionLength: number): ToolDefinition {
  spec.check({ name: 'read', description: 'read', inputSchema: 'read', strict: 'read' })
  const schema = spec.requiredFields('inputSchema')
  schema.check({ json: 'read' })
  const parameters = schema.record('json')
  if (parameters === null) throw schema.missing('json')
  return {
    name: readToolName(spec, 'name'),
    description: spec.text('description', { minLength: 1, maxLength: maxDescriptionLength }),
    parameters,
    strict: spec.boolean('strict') ?? false,
  }
}

function readChoice(config: Fields, definitions: readonly ToolDefinition[]): ToolOptions['choice'] {
  const union = config.nestedFields('toolChoice')
  if (union === null) return 'auto'
  const member = readMember(union, config.pathOf('toolChoice'), { known: ['auto', 'any', 'tool'] })
  const choice = union.requiredFields(member)
  if (member !== 'tool') {
    choice.check({})
    return member === 'auto' ? 'auto' : 'required'
  }
  choice.check({ name: 'read' })
  const name = readToolName(choice, 'name')
  if (definitions.every((tool) => tool.name !== name))
    throw invalid(choice.pathOf('name'), `${choice.pathOf('name')} is not the name of one of the tools`)
  return { name }
}
