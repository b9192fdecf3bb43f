/** The guardrails of all teams, from the store, and those of the platform's file, which every team may use and none may change. */
import { createHash } from 'node:crypto'
import type { Clock } from '#base/clock'
import { randomAlphanumerics } from '#base/random'
import { InferdError } from '#contract/errors'
import type {
  AppliedGuardrail,
  GuardContent,
  Guardrail,
  GuardrailDefinition,
  GuardrailQuery,
  GuardrailService,
  MadeGuardrail,
  VersionTerms,
} from '#contract/guardrail'
import { makeOnce, type MadeRow } from '#platform/store/guardrail-requests'
import {
  deleteGuardrail,
  insertDraft,
  insertVersion,
  selectDrafts,
  selectGuardrail,
  selectVersions,
  updateDraft,
  type GuardrailBounds,
  type GuardrailRow,
} from '#platform/store/guardrails-table'
import type { Store } from '#platform/store/open-store'
import { checkDefinition } from './check-definition.ts'
import type { PolicyCache } from './compiled-policy.ts'
import { evaluate } from './evaluate.ts'

export interface GuardrailArchiveOptions {
  readonly store: Store
  /** Of the platform's file. */
  readonly fixed: readonly GuardrailDefinition[]
  /** Asked where a definition names none; null = there is none. */
  readonly models: { readonly embedding: string | null; readonly classifier: string | null }
  readonly policies: PolicyCache
  readonly clock: Clock
}

const BOUNDS: GuardrailBounds = { perTeam: 100, versionsEach: 20 }
const ID_LENGTH = 12
const DRAFT = 'DRAFT'

type Named = Omit<GuardrailQuery, 'version'>

export class GuardrailArchive implements GuardrailService {
  private readonly options: GuardrailArchiveOptions
  private readonly fixed: readonly Guardrail[]

  /** Throws as checkDefinition for what the file says. */
  constructor(options: GuardrailArchiveOptions) {
    this.options = options
    const wallMs = options.clock.wallMs()
    this.fixed = options.fixed.map((given) => {
      const definition = this.complete(given)
      return { ...definition, id: definition.name, version: '1', team: '', createdMs: wallMs, updatedMs: wallMs }
    })
  }

  async create(team: string, given: GuardrailDefinition, token: string | null): Promise<MadeGuardrail> {
    const definition = this.complete(given)
    this.refuseFixed(definition.name)
    const nowMs = this.options.clock.wallMs()
    const id = randomAlphanumerics(ID_LENGTH).toLowerCase()
    const row = { team, id, version: 0, name: definition.name, definition: JSON.stringify(definition), created_ms: nowMs, updated_ms: nowMs }
    const request = { team, token, digest: digestOf(['create', given]), nowMs }
    return madeOf(await makeOnce(this.options.store.db, request, (step) => insertDraft(step, row, BOUNDS)))
  }

  async createVersion(query: Named, { description, token }: VersionTerms): Promise<MadeGuardrail> {
    const { id } = await this.own(query)
    const nowMs = this.options.clock.wallMs()
    const version = { team: query.team, id, nowMs, description: description === '' ? null : description }
    const request = { team: query.team, token, digest: digestOf(['create-version', id, description]), nowMs }
    return madeOf(await makeOnce(this.options.store.db, request, (step) => insertVersion(step, version, BOUNDS)))
  }

  async get({ team, guardrail, version }: GuardrailQuery): Promise<Guardrail> {
    const key = keyOf(guardrail)
    const fixed = this.fixed.find(({ id }) => id === key)
    if (fixed !== undefined && (version === DRAFT || version === fixed.version)) return { ...fixed, team }
    const row = await selectGuardrail(this.options.store.db, { team, guardrail: key, version: versionOf(version) })
    // A number belongs to an id: a draft that has been renamed keeps its versions.
    const draft = row === null && version !== DRAFT ? await selectGuardrail(this.options.store.db, { team, guardrail: key, version: 0 }) : null
    const found =
      row ?? (draft === null ? null : await selectGuardrail(this.options.store.db, { team, guardrail: draft.id, version: versionOf(version) }))
    if (found === null) throw notFound()
    return fromRow(found)
  }

  async list(team: string): Promise<readonly Guardrail[]> {
    return [...this.fixed.map((fixed) => ({ ...fixed, team })), ...(await selectDrafts(this.options.store.db, team)).map(fromRow)]
  }

  async versions({ team, guardrail }: Named): Promise<readonly Guardrail[]> {
    const key = keyOf(guardrail)
    const fixed = this.fixed.find(({ id }) => id === key)
    if (fixed !== undefined) return [{ ...fixed, team }]
    const { id } = await this.get({ team, guardrail, version: DRAFT })
    return (await selectVersions(this.options.store.db, { team, id })).map(fromRow)
  }

  async update(query: Named, given: GuardrailDefinition): Promise<Guardrail> {
    const definition = this.complete(given)
    const draft = await this.own(query)
    if (definition.name !== draft.name) this.refuseFixed(definition.name)
    const updatedMs = Math.max(this.options.clock.wallMs(), draft.updatedMs + 1)
    const text = JSON.stringify(definition)
    const row = { team: query.team, id: draft.id, name: definition.name, definition: text, updated_ms: updatedMs }
    if (!(await updateDraft(this.options.store.db, row))) throw notFound()
    return { ...draft, ...definition, updatedMs }
  }

  async delete({ team, guardrail, version }: Named & { readonly version: string | null }): Promise<void> {
    if (version === DRAFT)
      throw new InferdError('invalid_parameter', 'a draft is deleted with all its versions: name no version', { param: 'version' })
    const draft = await this.own({ team, guardrail })
    const number = version === null ? null : versionOf(version)
    if (!(await deleteGuardrail(this.options.store.db, { team, id: draft.id, version: number }))) throw notFound()
  }

  async apply(
    query: GuardrailQuery,
    direction: 'input' | 'output',
    content: readonly GuardContent[],
    signal: AbortSignal,
  ): Promise<AppliedGuardrail> {
    const guardrail = await this.get(query)
    const judged = content.filter(({ qualifiers }) => qualifiers.length === 0 || qualifiers.includes('guard_content'))
    const { isBlocked, isMasked, texts, assessment } = await evaluate({
      compiled: this.options.policies.compile(guardrail),
      direction,
      texts: judged.map(({ text }) => ({ text, isMeaningJudged: true })),
      context: content,
      clock: this.options.clock,
      signal,
    })
    const message = direction === 'input' ? guardrail.blockedInputMessage : guardrail.blockedOutputMessage
    return { intervened: isBlocked || isMasked, outputs: isBlocked ? [message] : texts, assessment, guardrail }
  }

  /** What the server has set stands where the definition names no model. */
  private complete(given: GuardrailDefinition): GuardrailDefinition {
    const { embedding, classifier } = this.options.models
    const { policy } = given
    const models = { embeddingModel: policy.embeddingModel ?? embedding, classifierModel: policy.classifierModel ?? classifier }
    const definition = { ...given, policy: { ...policy, ...models } }
    checkDefinition(definition)
    return definition
  }

  private async own(query: Named): Promise<Guardrail> {
    this.refuseFixed(keyOf(query.guardrail))
    return this.get({ ...query, version: DRAFT })
  }

  private refuseFixed(key: string): void {
    if (this.fixed.some(({ id }) => id === key))
      throw new InferdError('conflict', `the guardrail '${key}' is set by the operator and cannot be changed`)
  }
}

function fromRow({ team, id, version, definition, created_ms, updated_ms }: GuardrailRow): Guardrail {
  // Written by us, checked when it came.
  const own = JSON.parse(definition) as GuardrailDefinition
  return { ...own, id, version: wordOf(version), team, createdMs: Number(created_ms), updatedMs: Number(updated_ms) }
}

function madeOf(row: MadeRow | null): MadeGuardrail {
  if (row === null) throw notFound()
  return { id: row.id, version: wordOf(row.version), createdMs: Number(row.created_ms) }
}

function digestOf(request: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(request)).digest('base64')
}

function wordOf(version: number): string {
  return version === 0 ? DRAFT : String(version)
}

/** ARNs end in `guardrail/ID`. */
function keyOf(guardrail: string): string {
  return guardrail.startsWith('arn:') ? guardrail.slice(guardrail.lastIndexOf('/') + 1) : guardrail
}

function versionOf(version: string): number {
  if (version === DRAFT) return 0
  if (!/^[1-9]\d{0,7}$/.test(version)) throw new InferdError('invalid_parameter', 'a version is DRAFT or a number', { param: 'version' })
  return Number(version)
}

function notFound(): InferdError {
  return new InferdError('resource_not_found', 'the guardrail or its version does not exist', { param: 'guardrail' })
}
