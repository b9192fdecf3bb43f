/** Writes docs/reference/platform-file.md and its JSON schema from the schema in use; the tidy test holds both files against it. */
import { z } from 'zod'
import { platformFileSchema } from './platform-file.ts'

interface SchemaNode {
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly default?: unknown
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly additionalProperties?: SchemaNode | boolean
  readonly items?: SchemaNode
  readonly anyOf?: readonly SchemaNode[]
  readonly oneOf?: readonly SchemaNode[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
}

const MAX_DEFAULT_LENGTH = 48
const LARGEST = Number.MAX_SAFE_INTEGER

/** For editors: `# yaml-language-server: $schema=...`. */
export function platformFileJsonSchema(): string {
  return `${JSON.stringify(schemaTree(), null, 2)}\n`
}

export function platformFilePage(): string {
  const sections = Object.entries(schemaTree().properties ?? {}).map(([name, node]) => sectionText(name, node))
  return `# The platform file

Made from \`src/config/platform-file.ts\` by \`npm run -s docs:configuration\`; do not edit by hand.
\`inferd serve --config FILE\` reads one YAML or JSON document of these sections; all of them may be left out. Unknown fields are refused by their path.
[platform-file.schema.json](platform-file.schema.json) is the same for editors. \`[]\` stands for each entry of a list, \`*\` for a name of your own.

${sections.join('\n')}`
}

function schemaTree(): SchemaNode {
  // What a file holds, before it is read; amounts of money are read into exact numbers.
  return z.toJSONSchema(platformFileSchema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      if (typeof jsonSchema.default === 'bigint') jsonSchema.default = String(jsonSchema.default)
    },
  }) as SchemaNode
}

function sectionText(name: string, node: SchemaNode): string {
  const rows = rowsOf(node, name)
  const head = ['| field | values | default | meaning |', '|---|---|---|---|']
  return [`## ${name}`, '', node.description ?? '', '', ...head, ...rows, ''].join('\n')
}

function rowsOf(node: SchemaNode, path: string): string[] {
  const own = path.includes('.') || path.includes('[') ? [rowOf(node, path)] : []
  const inner = Object.entries(node.properties ?? {}).flatMap(([key, child]) => rowsOf(child, `${path}.${key}`))
  const named = typeof node.additionalProperties === 'object' ? rowsOf(node.additionalProperties, `${path}.*`) : []
  const listed = node.items === undefined ? [] : rowsOf(node.items, `${path}[]`)
  const options = (node.anyOf ?? node.oneOf ?? []).flatMap((option) => rowsOf(option, path).slice(own.length))
  return [...own, ...inner, ...named, ...listed, ...options]
}

function rowOf(node: SchemaNode, path: string): string {
  const { description = '', default: value } = node
  const text = value === undefined ? '' : `\`${JSON.stringify(value)}\``
  const cells = [`\`${path}\``, valuesOf(node), text.length > MAX_DEFAULT_LENGTH ? 'see below' : text, description]
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
}

function valuesOf({ type: types = 'anything', enum: words, const: word, minimum, maximum, minLength, maxLength, anyOf, oneOf }: SchemaNode): string {
  const options = anyOf ?? oneOf
  if (options !== undefined) return [...new Set(options.map(valuesOf))].join(' or ')
  if (words !== undefined) return words.map(String).join(', ')
  if (word !== undefined) return String(word)
  const type = typeof types === 'string' ? types : types.join(' or ')
  const low = minimum !== undefined && minimum > -LARGEST ? minimum : undefined
  const high = maximum !== undefined && maximum < LARGEST ? maximum : undefined
  if (low !== undefined && high !== undefined) return `${type}, ${low} to ${high}`
  if (low !== undefined) return `${type}, from ${low}`
  if (maxLength !== undefined) return `${type}, ${minLength ?? 0} to ${maxLength} characters`
  return type
}
