/**
 * The shapes of @huggingface/jinja's runtime values and syntax nodes, as far as we look into them. The package exports its
 * interpreter, but its types do not resolve under NodeNext; this file is the one door through which they are cast.
 */
import * as jinja from '@huggingface/jinja'

/** A runtime value: `type` names its class, `value` holds a string, number, array, Map or function. */
export interface JinjaValue {
  readonly type: string
  readonly value: unknown
  toString(): string
}

/** Any syntax node, its fields unknown until `type` says more. */
export interface SyntaxNode {
  readonly type: string
  readonly [field: string]: unknown
}

/** The variables of a template. */
export interface Environment {
  set(name: string, value: unknown): JinjaValue
  setVariable(name: string, value: JinjaValue): JinjaValue
}

interface LibraryInterpreter {
  evaluate(node: SyntaxNode | undefined, environment: Environment): JinjaValue
}

export const JinjaEnvironment = jinja.Environment as unknown as new () => Environment
export const JinjaInterpreter = jinja.Interpreter as unknown as new (environment: Environment) => LibraryInterpreter

/** Throws the library's own errors, and RangeError on nesting beyond the stack. */
export function parseTemplate(source: string): SyntaxNode {
  return jinja.parse(jinja.tokenize(source, { lstrip_blocks: true, trim_blocks: true })) as unknown as SyntaxNode
}

const scratch = new JinjaEnvironment()
const StringClass = scratch.set('text', '').constructor as new (text: string) => JinjaValue
const FunctionClass = scratch.set('call', () => null).constructor as new (call: (args: JinjaValue[]) => JinjaValue) => JinjaValue
const IntegerClass = scratch.set('number', 1).constructor as new (value: number) => JinjaValue
const ArrayClass = scratch.set('list', []).constructor as new (items: JinjaValue[]) => JinjaValue

export function stringValue(text: string): JinjaValue {
  return new StringClass(text)
}

/** A function that gets runtime values as they are. */
export function functionValue(call: (args: JinjaValue[]) => JinjaValue): JinjaValue {
  return new FunctionClass(call)
}

export function arrayValue(items: JinjaValue[]): JinjaValue {
  return new ArrayClass(items)
}

export function integerValue(value: number): JinjaValue {
  return new IntegerClass(value)
}

/** The text of a string, or null. */
export function textOf(value: JinjaValue | undefined): string | null {
  return value?.type === 'StringValue' ? (value.value as string) : null
}

export function numberOf(value: JinjaValue | undefined): number | null {
  return value?.type === 'IntegerValue' || value?.type === 'FloatValue' ? (value.value as number) : null
}

/** The items of an array or tuple, or null. */
export function itemsOf(value: JinjaValue | undefined): readonly JinjaValue[] | null {
  return value !== undefined && Array.isArray(value.value) ? (value.value as JinjaValue[]) : null
}

/** The entries of an object, namespace or keyword arguments, or null. */
export function entriesOf(value: JinjaValue | undefined): ReadonlyMap<string, JinjaValue> | null {
  return value?.value instanceof Map ? (value.value as ReadonlyMap<string, JinjaValue>) : null
}

/** A syntax node that is a finished value. */
export function evaluatedNode(value: JinjaValue): SyntaxNode {
  return { type: 'Evaluated', value }
}

export function nodeAt(node: SyntaxNode, name: string): SyntaxNode {
  return node[name] as SyntaxNode
}

export function nodesAt(node: SyntaxNode, name: string): readonly SyntaxNode[] {
  return node[name] as readonly SyntaxNode[]
}
