/** A GuardrailService in memory, which finds the words of its list: what Bedrock's control API does must not depend on any judge. */
import { InferdError } from '#contract/errors'
import type {
  AppliedGuardrail,
  GuardContent,
  GuardFinding,
  Guardrail,
  GuardrailDefinition,
  GuardrailQuery,
  GuardrailService,
  VersionTerms,
} from '#contract/guardrail'

const DRAFT = 'DRAFT'

export class FakeGuardrails implements GuardrailService {
  private readonly rows: Guardrail[] = []
  private numIds = 0

  async create(team: string, definition: GuardrailDefinition): Promise<Guardrail> {
    if (this.rows.some(({ name }) => name === definition.name)) throw new InferdError('conflict', 'a guardrail of this name exists')
    const guardrail = { ...definition, id: `gr${++this.numIds}`, version: DRAFT, team, createdMs: 1_700_000_000_000, updatedMs: 1_700_000_000_000 }
    this.rows.push(guardrail)
    return guardrail
  }

  async createVersion({ team, guardrail }: Omit<GuardrailQuery, 'version'>, { description }: VersionTerms): Promise<Guardrail> {
    const draft = await this.get({ team, guardrail, version: DRAFT })
    const version = String(this.rows.filter(({ id }) => id === draft.id).length)
    const made = { ...draft, version, description: description === '' ? draft.description : description }
    this.rows.push(made)
    return made
  }

  async get({ team, guardrail, version }: GuardrailQuery): Promise<Guardrail> {
    const name = guardrail.split('/').at(-1)
    const found = this.rows.find((row) => row.team === team && [row.id, row.name].includes(name ?? '') && row.version === version)
    if (found === undefined) throw new InferdError('resource_not_found', 'the guardrail does not exist')
    return found
  }

  async list(team: string): Promise<readonly Guardrail[]> {
    return this.rows.filter((row) => row.team === team && row.version === DRAFT)
  }

  async versions({ team, guardrail }: Omit<GuardrailQuery, 'version'>): Promise<readonly Guardrail[]> {
    const draft = await this.get({ team, guardrail, version: DRAFT })
    return this.rows.filter(({ id }) => id === draft.id)
  }

  async update({ team, guardrail }: Omit<GuardrailQuery, 'version'>, definition: GuardrailDefinition): Promise<Guardrail> {
    const draft = await this.get({ team, guardrail, version: DRAFT })
    const updated = { ...draft, ...definition, updatedMs: draft.updatedMs + 1000 }
    this.rows[this.rows.indexOf(draft)] = updated
    return updated
  }

  async delete({ team, guardrail, version }: Omit<GuardrailQuery, 'version'> & { readonly version: string | null }): Promise<void> {
    const { id } = await this.get({ team, guardrail, version: version ?? DRAFT })
    const kept = this.rows.filter((row) => row.id !== id || (version !== null && row.version !== version))
    this.rows.splice(0, this.rows.length, ...kept)
  }

  async apply(query: GuardrailQuery, direction: 'input' | 'output', content: readonly GuardContent[]): Promise<AppliedGuardrail> {
    const guardrail = await this.get(query)
    const text = content.map((part) => part.text).join('\n')
    const findings = guardrail.policy.words.flatMap(({ text: word, [direction]: action }): GuardFinding[] => {
      const start = text.indexOf(word)
      const end = start + word.length
      if (start < 0) return []
      return [{ policy: 'word', rule: word, action, match: word, start, end, score: null, threshold: null, confidence: null }]
    })
    const intervened = findings.some(({ action }) => action !== 'none')
    const outputs = intervened
      ? [direction === 'input' ? guardrail.blockedInputMessage : guardrail.blockedOutputMessage]
      : content.map((part) => part.text)
    return { intervened, outputs, guardrail, assessment: { direction, findings, judgedCharacters: text.length, latencyMs: 1.4 } }
  }
}
