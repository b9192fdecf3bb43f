/**
 * Schemas into unions of shapes: `$ref`, allOf, anyOf, oneOf, not, if and dependent schemas are worked out here. Members (properties, items)
 * stay literals. Every step is counted, so that a schema whose combinations explode is refused and not followed.
 */
import { InferdError } from '#contract/errors'
import type { JsonValue } from '#contract/generate'
import { type GrammarLimits, refuseGrammar } from '../grammar-limits.ts'
import type { Enforcement } from './enforcement.ts'
import { type Keywords, readKeywords } from './read-keywords.ts'
import { placeOf, type SchemaDocument, type SchemaNode } from './schema-source.ts'
import { ANY_SHAPE, type Literal, isFree, keyOf, keyOfLiterals, mergeShapes, OBJECT, type Shape, typeOf } from './shape.ts'
import { positive, shapeOfKeywords, shapeOfOtherTexts, shapesOfOpposite } from './shape-of-keywords.ts'
import { ShapeJudge } from './shape-judge.ts'
import { StringLanguages } from './string-languages.ts'

/** Shapes of one schema. */
const MAX_SHAPES = 512
/** Merges of two shapes, all schemas together. */
const MAX_MERGES = 100_000
/** Schemas applied to one value by each other (`$ref` to `$ref`, allOf in allOf). */
const MAX_IN_PLACE_DEPTH = 256

/** The schemas that are being worked out for one value, outermost first. */
type Path = ReadonlySet<string>

interface OneOfContext {
  /** What else the schema says. */
  readonly base: readonly Shape[]
  readonly node: SchemaNode
  readonly path: Path
}

export class SchemaExpander {
  readonly languages: StringLanguages
  readonly judge: ShapeJudge
  readonly document: SchemaDocument
  readonly limits: GrammarLimits
  readonly enforcement: Enforcement
  private readonly keywordsOf = new Map<number, Keywords>()
  private readonly known = new Map<string, readonly Shape[]>()
  private readonly unions = new Map<string, readonly Shape[]>()
  private readonly open = new Set<string>()
  private numMerges = 0

  constructor(document: SchemaDocument, limits: GrammarLimits, enforcement: Enforcement) {
    this.document = document
    this.limits = limits
    this.enforcement = enforcement
    this.languages = new StringLanguages(limits, enforcement)
    this.judge = new ShapeJudge(this, this.languages)
  }

  /** The values that all literals hold; none: every value. */
  expand(literals: readonly Literal[]): readonly Shape[] {
    const key = keyOfLiterals(literals)
    let shapes = this.unions.get(key)
    if (shapes === undefined) {
      const [earlier, last] = [literals.slice(0, -1), literals.slice(-1)]
      const known = this.unions.get(keyOfLiterals(earlier))
      shapes = known ?? [ANY_SHAPE]
      for (const literal of known === undefined ? literals : last) shapes = this.product(shapes, this.expandLiteral(literal, new Set()))
      this.unions.set(key, shapes)
    }
    return shapes
  }

  /** True while one of the literals is being worked out: asking for it now would go round in a circle. */
  isOpen(literals: readonly Literal[]): boolean {
    return literals.some((literal) => this.open.has(keyOf(literal)))
  }

  private expandLiteral(literal: Literal, path: Path): readonly Shape[] {
    const { node, negated } = literal
    if (typeof node.schema === 'boolean') return node.schema === negated ? [] : [ANY_SHAPE]
    const key = keyOf(literal)
    const known = this.known.get(key)
    if (known !== undefined) return known
    if (path.has(key)) throw refuseGrammar('the schema refers to itself without reading anything', placeOf(node.pointer))
    if (path.size >= MAX_IN_PLACE_DEPTH) throw refuseGrammar(`more than ${MAX_IN_PLACE_DEPTH} schemas lead to each other`, placeOf(node.pointer))
    const inner = new Set(path).add(key)
    const wasOpen = this.open.has(key)
    this.open.add(key)
    try {
      const keywords = this.keywords(node)
      const shapes = negated ? this.expandOpposite(node, keywords, inner) : this.expandKeywords(node, keywords, inner)
      this.known.set(key, shapes)
      return shapes
    } finally {
      if (!wasOpen) this.open.delete(key)
    }
  }

  private expandKeywords(node: SchemaNode, keywords: Keywords, path: Path): readonly Shape[] {
    const { pointer } = node
    let shapes: readonly Shape[] = [shapeOfKeywords(keywords, pointer, this.languages)]
    const and = (others: readonly Shape[]): void => {
      shapes = this.product(shapes, others, pointer)
    }
    for (const part of keywords.ref === null ? keywords.allOf : [keywords.ref, ...keywords.allOf]) and(this.expandLiteral(positive(part), path))
    if (keywords.not !== null) and(this.opposite(keywords.not, path))
    if (keywords.anyOf !== null)
      and(
        unite(
          keywords.anyOf.map((branch) => this.expandLiteral(positive(branch), path)),
          pointer,
        ),
      )
    if (keywords.oneOf !== null) and(this.exactlyOne(keywords.oneOf, { base: shapes, node, path }))
    if (keywords.ifSchema !== null) and(this.enforcement.attempt(() => this.conditional(keywords.ifSchema!, keywords, path), [ANY_SHAPE]))
    for (const [name, others] of keywords.dependentRequired) and([objectWithout(name), requiring([name, ...others]), NO_OBJECT])
    for (const [name, schema] of keywords.dependentSchemas) {
      and([objectWithout(name), NO_OBJECT, ...this.product([requiring([name])], this.expandLiteral(positive(schema), path))])
    }
    return shapes
  }

  private expandOpposite(node: SchemaNode, keywords: Keywords, path: Path): readonly Shape[] {
    const { pointer } = node
    const unions: (readonly Shape[])[] = [shapesOfOpposite(keywords, pointer)]
    if (keywords.pattern !== null) unions.push([shapeOfOtherTexts(keywords.pattern, pointer, this.languages)])
    for (const part of keywords.ref === null ? keywords.allOf : [keywords.ref, ...keywords.allOf]) {
      unions.push(this.expandLiteral({ node: part, negated: true }, path))
    }
    if (keywords.not !== null) unions.push(this.expandLiteral(positive(keywords.not), path))
    if (keywords.anyOf !== null) {
      let none: readonly Shape[] = [ANY_SHAPE]
      for (const branch of keywords.anyOf) none = this.product(none, this.expandLiteral({ node: branch, negated: true }, path), pointer)
      unions.push(none)
    }
    return unite(unions, pointer)
  }

  private opposite(node: SchemaNode, path: Path): readonly Shape[] {
    return this.enforcement.attempt(() => this.expandLiteral({ node, negated: true }, path), [ANY_SHAPE])
  }

  private conditional(condition: SchemaNode, keywords: Keywords, path: Path): readonly Shape[] {
    const branch = (negated: boolean, consequence: SchemaNode | null): readonly Shape[] => {
      const shapes = this.expandLiteral({ node: condition, negated }, path)
      return consequence === null ? shapes : this.product(shapes, this.expandLiteral(positive(consequence), path), condition.pointer)
    }
    if (keywords.thenSchema === null && keywords.elseSchema === null) return [ANY_SHAPE]
    return unite([branch(false, keywords.thenSchema), branch(true, keywords.elseSchema)], condition.pointer)
  }

  /** Branches that may hold together, within `base`, are kept apart: first by names that only one of them requires, else by each other's opposite. */
  private exactlyOne(branches: readonly SchemaNode[], { base, node, path }: OneOfContext): readonly Shape[] {
    const unions = branches.map((branch) => this.expandLiteral(positive(branch), path))
    const result = [...unions]
    for (let i = 0; i < branches.length; i++) {
      for (let j = i + 1; j < branches.length; j++) {
        const overlap = this.overlap(base, unions[i]!, unions[j]!)
        if (overlap === 0) continue
        const apart = overlap === OBJECT ? namesApart(unions[i]!, unions[j]!) : null
        if (apart !== null) {
          result[i] = result[i]!.map((shape) => mergeShapes(shape, withoutName(apart.ofSecond)))
          result[j] = result[j]!.map((shape) => mergeShapes(shape, withoutName(apart.ofFirst)))
          continue
        }
        try {
          const [first, second] = [branches[i]!, branches[j]!]
          result[i] = this.product(result[i]!, this.expandLiteral({ node: second, negated: true }, path))
          result[j] = this.product(result[j]!, this.expandLiteral({ node: first, negated: true }, path))
        } catch (error) {
          if (!(error instanceof InferdError)) throw error
          const reason = `\`oneOf\` is not enforced where branches ${i} and ${j} may both hold: use anyOf`
          this.enforcement.leaveOut(reason, placeOf(`${node.pointer}/oneOf`))
        }
      }
    }
    return unite(result, node.pointer)
  }

  /** Types of values that may be in all three; 0 = surely none. */
  private overlap(base: readonly Shape[], a: readonly Shape[], b: readonly Shape[]): number {
    let types = 0
    for (const first of a) {
      for (const second of b) {
        const both = this.merge(first, second)
        for (const shape of base) types |= this.judge.possibleTypes(this.merge(shape, both), true)
      }
    }
    return types
  }

  private product(a: readonly Shape[], b: readonly Shape[], pointer = ''): readonly Shape[] {
    if (a.length === 1 && a[0] === ANY_SHAPE) return b
    if (b.length === 1 && b[0] === ANY_SHAPE) return a
    if (a.length === 1 && b.length === 1) return [this.merge(a[0]!, b[0]!)]
    const merged: Shape[] = []
    for (const first of a) {
      for (const second of b) {
        const shape = this.merge(first, second)
        if (this.judge.possibleTypes(shape, false) !== 0) merged.push(shape)
      }
    }
    if (merged.length > MAX_SHAPES) throw refuseGrammar(`the schema has more than ${MAX_SHAPES} combinations of alternatives`, placeOf(pointer))
    return merged
  }

  private merge(a: Shape, b: Shape): Shape {
    if (++this.numMerges > MAX_MERGES) throw refuseGrammar('the schema has too many combinations of alternatives', placeOf(a.pointer))
    return mergeShapes(a, b)
  }

  private keywords(node: SchemaNode): Keywords {
    let keywords = this.keywordsOf.get(node.id)
    if (keywords === undefined) {
      keywords = readKeywords(node, node.schema as Exclude<SchemaNode['schema'], boolean>, this)
      this.keywordsOf.set(node.id, keywords)
    }
    return keywords
  }
}

/** Shapes that only list values become one of them. Throws InferdError when too many are left. */
function unite(unions: readonly (readonly Shape[])[], pointer: string): readonly Shape[] {
  if (unions.length === 1) return unions[0]!
  const shapes = new Set<Shape>()
  const values = new Map<string, JsonValue>()
  for (const union of unions) {
    for (const shape of union) {
      if (shape.values === null || shape.excluded.size > 0 || !isFree(shape)) shapes.add(shape)
      else for (const [key, value] of shape.values) if ((shape.types & typeOf(value)) !== 0) values.set(key, value)
    }
    if (shapes.size > MAX_SHAPES) throw refuseGrammar(`the schema has more than ${MAX_SHAPES} combinations of alternatives`, placeOf(pointer))
  }
  if (shapes.has(ANY_SHAPE)) return [ANY_SHAPE]
  return values.size === 0 ? [...shapes] : [...shapes, { ...ANY_SHAPE, values, pointer }]
}

const NO_OBJECT: Shape = { ...ANY_SHAPE, types: ANY_SHAPE.types & ~OBJECT }

/** Objects without the name, and whatever is no object. */
function withoutName(name: string): Shape {
  return { ...ANY_SHAPE, object: { ...ANY_SHAPE.object, forbidden: [name] } }
}

function objectWithout(name: string): Shape {
  return { ...withoutName(name), types: OBJECT }
}

function requiring(names: readonly string[]): Shape {
  return { ...ANY_SHAPE, types: OBJECT, object: { ...ANY_SHAPE.object, required: [...new Set(names)] } }
}

/** A name that all objects of the first require and no object of the second, and one the other way round. */
function namesApart(first: readonly Shape[], second: readonly Shape[]): { readonly ofFirst: string; readonly ofSecond: string } | null {
  const ofFirst = nameOnlyIn(first, second)
  const ofSecond = nameOnlyIn(second, first)
  return ofFirst === undefined || ofSecond === undefined ? null : { ofFirst, ofSecond }
}

function nameOnlyIn(shapes: readonly Shape[], others: readonly Shape[]): string | undefined {
  const objects = shapes.filter((shape) => (shape.types & OBJECT) !== 0)
  const otherNames = new Set(others.flatMap((shape) => ((shape.types & OBJECT) === 0 ? [] : shape.object.required)))
  const nameSets = objects.map((shape) => new Set(shape.object.required))
  return objects[0]?.object.required.find((name) => !otherNames.has(name) && nameSets.every((names) => names.has(name)))
}
