/**
 * A model's chat template (Jinja) compiled once and rendered under limits. The template is a stranger's program: it runs in an interpreter, sees only
 * the values given here, and pays for every step.
 */
import { systemClock, type Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import type { ChatMessage, JsonRecord, JsonValue, ReasoningOptions, ToolDefinition } from '#contract/generate'
import {
  entriesOf,
  type Environment,
  functionValue,
  itemsOf,
  JinjaEnvironment,
  type JinjaValue,
  numberOf,
  parseTemplate,
  stringValue,
  type SyntaxNode,
  textOf,
} from './jinja-values.ts'
import { MeteredInterpreter } from './metered-interpreter.ts'
import { collectPrintedNodes } from './printed-nodes.ts'
import { PrintedText, type RangedText } from './printed-text.ts'
import { Provenance } from './provenance.ts'
import { formatTime } from './strftime.ts'
import { DEFAULT_TEMPLATE_LIMITS, TemplateBudget, TemplateLimitError, type TemplateLimits } from './template-budget.ts'
import { TemplateRefusal } from './template-fault.ts'
import { collectNames } from './template-names.ts'
import { rangeOf } from './template-range.ts'
import { templateMessage, templateSize, templateTools } from './template-values.ts'

export interface RenderInput {
  readonly messages: readonly ChatMessage[]
  readonly addGenerationPrompt: boolean
  readonly bosToken: string
  readonly eosToken: string
  /** Null: the model is shown no tools. */
  readonly tools?: readonly ToolDefinition[] | null
  readonly reasoning?: Pick<ReasoningOptions, 'enabled' | 'effort'>
  /** Further variables of the template, stronger than `reasoning`. Names that the renderer itself sets are refused. */
  readonly templateVariables?: JsonRecord
}

/** What models call the switch of their reasoning. */
const THINKING_NAMES: readonly string[] = ['enable_thinking', 'thinking']
const MAX_RANGE_ITEMS = 100_000
const MAX_MESSAGE_LENGTH = 300
const OWN_NAMES: ReadonlySet<string> = new Set([
  'messages',
  'add_generation_prompt',
  'bos_token',
  'eos_token',
  'tools',
  'documents',
  'tokenize',
  'range',
  'namespace',
  'raise_exception',
  'strftime_now',
  'true',
  'false',
  'none',
  'True',
  'False',
  'None',
  'loop',
  'caller',
])

interface TemplateValues {
  readonly messages: readonly JsonRecord[]
  readonly tools: readonly JsonValue[] | null
  readonly variables: ReadonlyMap<string, JsonValue>
  /** See templateSize. */
  readonly size: number
}

export class ChatTemplate {
  readonly source: string
  /** Why the template cannot be used, for a warning at load; null when it is sound. Rendering then throws it. */
  readonly problem: InferdError | null
  private readonly program: SyntaxNode | null
  private readonly printedNodes: ReadonlySet<object>
  private readonly names: ReadonlySet<string>
  private readonly limits: TemplateLimits
  private readonly clock: Clock

  private constructor(parts: { source: string; program: SyntaxNode | null; problem: InferdError | null; limits: TemplateLimits; clock: Clock }) {
    this.source = parts.source
    this.program = parts.program
    this.problem = parts.problem
    this.limits = parts.limits
    this.clock = parts.clock
    this.printedNodes = parts.program === null ? new Set() : collectPrintedNodes(parts.program)
    this.names = parts.program === null ? new Set() : collectNames(parts.program)
  }

  /** Never throws: a model whose template is broken still serves plain prompts. */
  static compile(source: string, limits: Partial<TemplateLimits> = {}, clock: Clock = systemClock): ChatTemplate {
    const allLimits = { ...DEFAULT_TEMPLATE_LIMITS, ...limits }
    const shared = { source, limits: allLimits, clock }
    if (source.length > allLimits.maxSourceLength) {
      const reason = `the chat template has ${source.length} characters, at most ${allLimits.maxSourceLength} are allowed`
      const problem = new InferdError('unsupported_model', reason)
      return new ChatTemplate({ ...shared, program: null, problem })
    }
    if (/\s{512}/.test(source)) {
      // The library's lexer takes time in the square of such a run.
      const problem = new InferdError('unsupported_model', 'the chat template has a run of more than 511 white space characters')
      return new ChatTemplate({ ...shared, program: null, problem })
    }
    try {
      return new ChatTemplate({ ...shared, program: parseTemplate(source), problem: null })
    } catch (error) {
      const problem = new InferdError('unsupported_model', `the chat template cannot be parsed: ${shortReason(error)}`, { cause: error })
      return new ChatTemplate({ ...shared, program: null, problem })
    }
  }

  /** Whether the template can be told of this variable: `tools`, `enable_thinking`. */
  mentions(name: string): boolean {
    return this.names.has(name)
  }

  /** Throws InferdError('invalid_parameter', param messages) when the template refuses the messages, fails, or reaches a limit. */
  render(input: RenderInput): string {
    return this.renderRanged(input).text
  }

  /** Like render; `ranges` are the parts that come from the request: messages, tools and variables. */
  renderRanged(input: RenderInput): RangedText {
    if (this.program === null) throw this.problem ?? new InferdError('unsupported_model', 'the chat template cannot be used')
    const values = this.valuesOf(input)
    const budget = new TemplateBudget(this.limits, this.clock, values.size)
    const provenance = new Provenance(budget)
    try {
      const { environment, nativeFunctions } = this.buildEnvironment(input, values, provenance)
      const parts = { environment, budget, provenance, printed: new PrintedText(), printedNodes: this.printedNodes, nativeFunctions }
      return new MeteredInterpreter(parts).render(this.program)
    } catch (error) {
      throw renderError(error)
    }
  }

  /** Throws InferdError for tools that the template does not show, and for names that a request cannot set. */
  private valuesOf({ messages, tools, reasoning, templateVariables }: RenderInput): TemplateValues {
    if (tools !== undefined && tools !== null && !this.mentions('tools')) {
      throw new InferdError('invalid_parameter', 'the chat template of this model has no place for tools', { param: 'output.tools' })
    }
    const shownTools = tools === undefined || tools === null ? null : templateTools(tools)
    const variables = new Map<string, JsonValue>()
    for (const name of THINKING_NAMES) if (typeof reasoning?.enabled === 'boolean') variables.set(name, reasoning.enabled)
    if (typeof reasoning?.effort === 'string') variables.set('reasoning_effort', reasoning.effort)
    for (const [name, value] of Object.entries(templateVariables ?? {})) {
      if (OWN_NAMES.has(name)) {
        throw new InferdError('invalid_parameter', `the template variable ${name} cannot be set by a request`, { param: 'input.templateVariables' })
      }
      variables.set(name, value)
    }
    const shownMessages = messages.map(templateMessage)
    // Every message costs a template some fixed work.
    let size = messages.length * 256
    for (const message of shownMessages) size += templateSize(message, 'messages')
    for (const tool of shownTools ?? []) size += templateSize(tool, 'output.tools')
    for (const value of variables.values()) size += templateSize(value, 'input.templateVariables')
    return { messages: shownMessages, tools: shownTools, variables, size }
  }

  private buildEnvironment(
    input: RenderInput,
    values: TemplateValues,
    provenance: Provenance,
  ): { environment: Environment; nativeFunctions: Set<JinjaValue> } {
    const environment = new JinjaEnvironment()
    for (const name of ['true', 'True']) environment.set(name, true)
    for (const name of ['false', 'False']) environment.set(name, false)
    for (const name of ['none', 'None']) environment.set(name, null)
    const nativeFunctions = new Set([
      environment.setVariable(
        'range',
        functionValue((args) => rangeOf(args.map(numberOf), MAX_RANGE_ITEMS)),
      ),
      environment.setVariable('raise_exception', functionValue(raiseException)),
      environment.setVariable(
        'strftime_now',
        functionValue(([format]) => stringValue(formatTime(this.clock.wallMs(), textOf(format) ?? ''))),
      ),
    ])
    environment.set('bos_token', input.bosToken)
    environment.set('eos_token', input.eosToken)
    environment.set('add_generation_prompt', input.addGenerationPrompt)
    provenance.markAll(environment.set('tools', values.tools))
    environment.set('documents', null)
    const messages = environment.set('messages', values.messages)
    for (const message of itemsOf(messages) ?? []) {
      for (const [key, value] of entriesOf(message) ?? []) if (key !== 'role') provenance.markAll(value)
    }
    for (const [name, value] of values.variables) provenance.markAll(environment.set(name, value))
    return { environment, nativeFunctions }
  }
}

function raiseException(args: readonly JinjaValue[]): JinjaValue {
  throw new TemplateRefusal(textOf(args[0]) ?? 'the chat template refuses these messages')
}

function renderError(error: unknown): InferdError {
  if (error instanceof InferdError) return error
  const param = 'messages'
  if (error instanceof TemplateRefusal) return new InferdError('invalid_parameter', shortReason(error), { param, cause: error })
  if (error instanceof TemplateLimitError) {
    return new InferdError('invalid_parameter', `the chat template needs ${error.message} for these messages`, { param, cause: error })
  }
  return new InferdError('invalid_parameter', `the chat template fails on these messages: ${shortReason(error)}`, { param, cause: error })
}

function shortReason(error: unknown): string {
  const message = error instanceof Error ? error.message : 'unknown reason'
  return (message.length > MAX_MESSAGE_LENGTH ? `${message.slice(0, MAX_MESSAGE_LENGTH)}...` : message).toWellFormed()
}
