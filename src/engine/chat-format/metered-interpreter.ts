/**
 * The template library's interpreter under a budget and with provenance. Every evaluation of every node passes through `evaluate`;
 * operations that could make much out of little are taken apart first, so that their operands are known before they run.
 */
import {
  arrayValue,
  entriesOf,
  type Environment,
  evaluatedNode,
  itemsOf,
  JinjaInterpreter,
  type JinjaValue,
  nodeAt,
  nodesAt,
  stringValue,
  type SyntaxNode,
  textOf,
} from './jinja-values.ts'
import { chargeOperation, chargeOperator, chargePrinting, shallowSize } from './operation-costs.ts'
import type { PrintedText, RangedText } from './printed-text.ts'
import { appendRanges, type Provenance } from './provenance.ts'
import { stripText } from './strip-text.ts'
import type { TemplateBudget } from './template-budget.ts'
import { TemplateFault } from './template-fault.ts'

const STEPS_PER_ITERATION = 8
const STRIP_NAMES: ReadonlySet<string> = new Set(['strip', 'lstrip', 'rstrip', 'trim'])

export interface InterpreterParts {
  readonly environment: Environment
  readonly budget: TemplateBudget
  readonly provenance: Provenance
  readonly printed: PrintedText
  /** Nodes whose value is printed where they stand. */
  readonly printedNodes: ReadonlySet<object>
  /** Our own global functions: what they return is not a block's text. */
  readonly nativeFunctions: ReadonlySet<JinjaValue>
}

export class MeteredInterpreter extends JinjaInterpreter {
  private readonly parts: InterpreterParts

  constructor(parts: InterpreterParts) {
    super(parts.environment)
    this.parts = parts
  }

  /** Renders a program. Throws TemplateLimitError, TemplateFault, or whatever the library throws. */
  render(program: SyntaxNode): RangedText {
    const encoded = textOf(this.evaluate(program, this.parts.environment)) ?? ''
    this.parts.budget.allowText(this.parts.printed.decodedLength(encoded))
    return this.parts.printed.decode(encoded)
  }

  override evaluate(statement: SyntaxNode | undefined, environment: Environment): JinjaValue {
    if (statement === undefined) return super.evaluate(statement, environment)
    const { budget } = this.parts
    budget.enter()
    try {
      const value = this.dispatch(statement, environment) ?? super.evaluate(undefined, environment)
      const size = shallowSize(value)
      if (value.type === 'StringValue') budget.allowText(size)
      else budget.charge(size / 8)
      return this.parts.printedNodes.has(statement) ? this.print(statement.type, value) : value
    } finally {
      budget.leave()
    }
  }

  private dispatch(node: SyntaxNode, environment: Environment): JinjaValue {
    switch (node.type) {
      case 'Evaluated':
        return node['value'] as JinjaValue
      case 'BinaryExpression':
        return this.binary(node, environment)
      case 'MemberExpression':
        return this.member(node, environment)
      case 'FilterExpression':
        return this.filter(node, this.evaluateNode(nodeAt(node, 'operand'), environment), environment)
      case 'FilterStatement':
        return this.filter(node, this.block(nodesAt(node, 'body'), environment), environment)
      case 'CallExpression':
        return this.call(node, environment)
      case 'CallStatement':
        return this.resolve(this.base(node, environment))
      case 'ObjectLiteral':
        return this.object(node, environment)
      case 'For':
        return this.loop(node, environment)
      case 'Set':
        return this.set(node, environment)
      default:
        return this.base(node, environment)
    }
  }

  /** The library's own evaluation of this node. */
  private base(node: SyntaxNode, environment: Environment): JinjaValue {
    return super.evaluate(node, environment)
  }

  private evaluateNode(node: SyntaxNode, environment: Environment): JinjaValue {
    return this.evaluate(node, environment)
  }

  /** A block joins strings, so a printed value becomes text or a reference here. */
  private print(type: string, value: JinjaValue): JinjaValue {
    if (type === 'If' || type === 'For' || value.type === 'NullValue' || value.type === 'UndefinedValue') return value
    if (value.type === 'FunctionValue') throw new TemplateFault('a function is printed')
    const { budget, provenance, printed } = this.parts
    chargePrinting(budget, value)
    const text = textOf(value)
    if (text !== null) return stringValue(printed.encode(text, provenance.rangesOf(value)))
    const written = stringValue(value.toString())
    provenance.taintResult(written, [value])
    return stringValue(printed.encode(textOf(written) ?? '', provenance.rangesOf(written)))
  }

  /** Text of a finished block with its references resolved. */
  private resolve(value: JinjaValue): JinjaValue {
    const encoded = textOf(value)
    if (encoded === null) return value
    this.parts.budget.allowText(this.parts.printed.decodedLength(encoded))
    const { text, ranges } = this.parts.printed.decode(encoded)
    return this.parts.provenance.mark(stringValue(text), ranges)
  }

  private block(body: readonly SyntaxNode[], environment: Environment): JinjaValue {
    return this.resolve(this.base({ type: 'Program', body }, environment))
  }

  private binary(node: SyntaxNode, environment: Environment): JinjaValue {
    const operator = nodeAt(node, 'operator')['value'] as string
    if (operator === 'and' || operator === 'or') return this.base(node, environment)
    const left = this.evaluateNode(nodeAt(node, 'left'), environment)
    const right = this.evaluateNode(nodeAt(node, 'right'), environment)
    chargeOperator(this.parts.budget, operator, left, right)
    const result = this.base({ ...node, type: node.type, left: evaluatedNode(left), right: evaluatedNode(right) }, environment)
    if (textOf(result) !== null) this.markJoined(result, left, right)
    return result
  }

  private markJoined(result: JinjaValue, left: JinjaValue, right: JinjaValue): void {
    const { provenance } = this.parts
    const leftText = textOf(left)
    const rightText = textOf(right)
    if (leftText === null || rightText === null) {
      const leftHolds = leftText === null && provenance.holdsCallerText(left)
      if (leftHolds || (rightText === null && provenance.holdsCallerText(right))) return provenance.taintResult(result, [left, right])
    }
    const leftLength = leftText?.length ?? (textOf(result)?.length ?? 0) - (rightText?.length ?? 0)
    const ranges = [...provenance.rangesOf(left)]
    appendRanges(ranges, provenance.rangesOf(right), leftLength)
    provenance.mark(result, ranges)
  }

  private member(node: SyntaxNode, environment: Environment): JinjaValue {
    const object = this.evaluateNode(nodeAt(node, 'object'), environment)
    const result = this.base({ ...node, type: node.type, object: evaluatedNode(object) }, environment)
    const isContainer = entriesOf(object) !== null
    if (result.type === 'FunctionValue' && !isContainer) throw new TemplateFault('a method is used without calling it')
    if (!isContainer && itemsOf(object) === null) this.parts.provenance.taintResult(result, [object])
    return result
  }

  private filter(node: SyntaxNode, operand: JinjaValue, environment: Environment): JinjaValue {
    const spec = nodeAt(node, 'filter')
    const isCall = spec.type === 'CallExpression'
    const name = (isCall ? nodeAt(spec, 'callee') : spec)['value'] as string
    const args = isCall ? this.evaluateArgumentNodes(nodesAt(spec, 'args'), environment) : NO_ARGUMENTS
    chargeOperation(this.parts.budget, { name, operand, args: args.values })
    if (name === 'trim' && textOf(operand) !== null) return this.strip('strip', operand, args.values)
    const filter = isCall ? { ...spec, type: spec.type, args: args.nodes } : spec
    const result = this.base({ type: 'FilterExpression', operand: evaluatedNode(operand), filter }, environment)
    if (result !== undefined) this.parts.provenance.taintResult(result, [operand, ...args.values])
    return result
  }

  private call(node: SyntaxNode, environment: Environment): JinjaValue {
    const callee = nodeAt(node, 'callee')
    if (callee.type === 'MemberExpression') return this.callMember(node, callee, environment)
    const args = this.evaluateArgumentNodes(nodesAt(node, 'args'), environment)
    const target = this.evaluateNode(callee, environment)
    const result = this.base({ ...node, type: node.type, callee: evaluatedNode(target), args: args.nodes }, environment)
    const isNative = this.parts.nativeFunctions.has(target)
    if (!isNative && entriesOf(result) === null) return this.resolve(result)
    this.parts.provenance.taintResult(result, args.values)
    return result
  }

  private callMember(node: SyntaxNode, callee: SyntaxNode, environment: Environment): JinjaValue {
    const object = this.evaluateNode(nodeAt(callee, 'object'), environment)
    const name = this.memberName(callee, environment)
    const args = this.evaluateArgumentNodes(nodesAt(node, 'args'), environment)
    const own = entriesOf(object)?.get(name)
    if (own !== undefined) {
      const call = { ...node, type: node.type, callee: evaluatedNode(own), args: args.nodes }
      return this.resolve(this.base(call, environment))
    }
    chargeOperation(this.parts.budget, { name, operand: object, args: args.values })
    if (STRIP_NAMES.has(name) && textOf(object) !== null) return this.strip(name, object, args.values)
    // Bypasses `member`, which refuses methods that nobody calls.
    const member = { type: 'MemberExpression', object: evaluatedNode(object), property: evaluatedNode(stringValue(name)), computed: true }
    const method = this.base(member, environment)
    const result = this.base({ ...node, type: node.type, callee: evaluatedNode(method), args: args.nodes }, environment)
    this.parts.provenance.taintResult(result, [object, ...args.values])
    return result
  }

  /** `object.name(...)` or `object[expression](...)`. */
  private memberName(callee: SyntaxNode, environment: Environment): string {
    const property = nodeAt(callee, 'property')
    if (callee['computed'] !== true) return property['value'] as string
    const name = textOf(this.evaluateNode(property, environment))
    if (name === null) throw new TemplateFault('what is called is not a name')
    return name
  }

  private strip(name: string, operand: JinjaValue, args: readonly JinjaValue[]): JinjaValue {
    return stripText({ provenance: this.parts.provenance, name, operand, characters: textOf(args[0]) })
  }

  private loop(node: SyntaxNode, environment: Environment): JinjaValue {
    const source = nodeAt(node, 'iterable')
    const selects = source.type === 'SelectExpression'
    const items = this.evaluateNode(selects ? nodeAt(source, 'lhs') : source, environment)
    this.parts.budget.charge(shallowSize(items) * STEPS_PER_ITERATION)
    const iterated = evaluatedNode(this.keysOf(items))
    const iterable = selects ? { ...source, type: source.type, lhs: iterated } : iterated
    return this.base({ ...node, type: node.type, iterable }, environment)
  }

  /** Iterating an object gives its keys: strings that the library makes anew, so those of the caller are made here. */
  private keysOf(items: JinjaValue): JinjaValue {
    const { provenance } = this.parts
    if (!provenance.hasCallerKeys(items)) return items
    const keys = arrayValue([...(entriesOf(items)?.keys() ?? [])].map(stringValue))
    provenance.markAll(keys)
    return keys
  }

  private object(node: SyntaxNode, environment: Environment): JinjaValue {
    const { provenance } = this.parts
    let hasCallerKey = false
    const entries = [...(node['value'] as ReadonlyMap<SyntaxNode, SyntaxNode>)].map(([keyNode, value]): [SyntaxNode, SyntaxNode] => {
      const key = this.evaluateNode(keyNode, environment)
      hasCallerKey ||= provenance.holdsCallerText(key)
      return [evaluatedNode(key), value]
    })
    const result = this.base({ type: node.type, value: new Map(entries) }, environment)
    if (hasCallerKey) provenance.markKeys(result)
    return result
  }

  private set(node: SyntaxNode, environment: Environment): JinjaValue {
    if (node['value'] !== null) return this.base(node, environment)
    const value = evaluatedNode(this.block(nodesAt(node, 'body'), environment))
    return this.base({ ...node, type: node.type, value }, environment)
  }

  /** Values of the arguments, and nodes that give them again without work. Literals stay as they are: some filters insist on them. */
  private evaluateArgumentNodes(args: readonly SyntaxNode[], environment: Environment): ArgumentList {
    const values: JinjaValue[] = []
    const nodes = args.map((arg): SyntaxNode => {
      if (arg.type === 'StringLiteral') {
        values.push(this.evaluateNode(arg, environment))
        return arg
      }
      const inner = arg.type === 'KeywordArgumentExpression' ? 'value' : arg.type.endsWith('SpreadExpression') ? 'argument' : null
      const value = this.evaluateNode(inner === null ? arg : nodeAt(arg, inner), environment)
      values.push(value)
      if (arg.type === 'KeywordSpreadExpression' && this.parts.provenance.hasCallerKeys(value)) {
        throw new TemplateFault('an object of the request is spread into arguments')
      }
      return inner === null ? evaluatedNode(value) : { ...arg, type: arg.type, [inner]: evaluatedNode(value) }
    })
    return { values, nodes }
  }
}

interface ArgumentList {
  readonly values: readonly JinjaValue[]
  readonly nodes: readonly SyntaxNode[]
}

const NO_ARGUMENTS: ArgumentList = { values: [], nodes: [] }
