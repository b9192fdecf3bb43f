/**
 * Reads one call that is written as a JSON object: `{"name": "f", "arguments": {...}}`, members in any order, others skipped. Arguments
 * stream when the name came first; else the call comes out whole. Only the structure of the arguments is checked: brackets and strings.
 */
import { isJsonSpace, JsonExtent } from '#engine/chat-format/json-extent'
import type { ReaderStep } from './answer-scanner.ts'

/** UTF-16 units. Tool names have at most 64 characters; escapes make them longer. */
const MAX_NAME_LENGTH = 512
const MAX_KEY_LENGTH = 64
const ARGUMENT_KEYS: ReadonlySet<string> = new Set(['arguments', 'parameters'])

/** closed: the object's last unit was taken; its call came out before. */
export type JsonCallStep = ReaderStep | 'closed'
type State = 'open' | 'key-quote' | 'key' | 'colon' | 'value' | 'name' | 'arguments' | 'skip' | 'scalar' | 'comma'

export class JsonCallReader {
  name = ''
  argumentsText = ''
  /** The call came out. */
  isComplete = false
  private state: State = 'open'
  private key = ''
  private extent = new JsonExtent()
  private rawName = ''
  private isNameEscaped = false

  /** The opening brace was taken elsewhere. */
  begin(): void {
    this.state = 'key-quote'
  }

  take(unit: string): JsonCallStep {
    switch (this.state) {
      case 'open':
        return this.expect(unit, '{', 'key-quote')
      case 'key-quote':
        this.key = ''
        return this.expect(unit, '"', 'key')
      case 'key':
        return this.takeKey(unit)
      case 'colon':
        return this.expect(unit, ':', 'value')
      case 'value':
        return isJsonSpace(unit) ? 'hold' : this.beginValue(unit)
      case 'name':
        return this.takeName(unit)
      case 'arguments':
        return this.takeArguments(unit)
      case 'skip':
        if (this.extent.take(unit)) this.state = 'comma'
        return 'hold'
      case 'scalar':
        return this.takeScalar(unit)
      case 'comma':
        if (unit === '}') return this.isComplete ? 'closed' : 'fail'
        return this.expect(unit, ',', 'key-quote')
    }
  }

  /** White space, then `wanted`. */
  private expect(unit: string, wanted: string, next: State): JsonCallStep {
    if (isJsonSpace(unit)) return 'hold'
    if (unit !== wanted) return 'fail'
    this.state = next
    return 'hold'
  }

  /** Keys that matter are written without escapes. */
  private takeKey(unit: string): JsonCallStep {
    if (unit === '\\' || this.key.length >= MAX_KEY_LENGTH) return 'fail'
    if (unit === '"') this.state = 'colon'
    else this.key += unit
    return 'hold'
  }

  private beginValue(unit: string): JsonCallStep {
    if (this.key === 'name') {
      if (unit !== '"' || this.name !== '') return 'fail'
      this.state = 'name'
      return 'hold'
    }
    this.extent = new JsonExtent()
    if (ARGUMENT_KEYS.has(this.key)) return this.beginArguments(unit)
    if (unit === '"' || unit === '{' || unit === '[') {
      this.extent.take(unit)
      this.state = 'skip'
      return 'hold'
    }
    this.state = 'scalar'
    return this.isScalarUnit(unit) ? 'hold' : 'fail'
  }

  private beginArguments(unit: string): JsonCallStep {
    if (unit !== '{' || this.isComplete || this.argumentsText !== '') return 'fail'
    this.extent.take(unit)
    this.state = 'arguments'
    if (this.name !== '') return 'start'
    this.argumentsText = unit
    return 'hold'
  }

  private takeArguments(unit: string): JsonCallStep {
    const isLast = this.extent.take(unit)
    if (isLast) this.state = 'comma'
    if (this.name !== '') {
      this.isComplete ||= isLast
      return isLast ? 'last' : 'argument'
    }
    this.argumentsText += unit
    return 'hold'
  }

  private takeName(unit: string): JsonCallStep {
    if (unit === '"' && !this.isNameEscaped) return this.endName()
    this.isNameEscaped = unit === '\\' && !this.isNameEscaped
    this.rawName += unit
    return this.rawName.length > MAX_NAME_LENGTH ? 'fail' : 'hold'
  }

  private endName(): JsonCallStep {
    try {
      this.name = JSON.parse(`"${this.rawName}"`) as string
    } catch {
      return 'fail'
    }
    if (this.name === '') return 'fail'
    this.state = 'comma'
    if (this.argumentsText === '') return 'hold'
    this.isComplete = true
    return 'whole'
  }

  private takeScalar(unit: string): JsonCallStep {
    if (this.isScalarUnit(unit)) return 'hold'
    this.state = 'comma'
    return this.take(unit)
  }

  /** Of numbers, true, false and null. */
  private isScalarUnit(unit: string): boolean {
    return (unit >= 'a' && unit <= 'z') || (unit >= '0' && unit <= '9') || unit === '-' || unit === '+' || unit === '.' || unit === 'E'
  }
}
