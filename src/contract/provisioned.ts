/** Provisioned throughput: model units that a team has bought, which its calls are never throttled within. */

/** Of the price: a longer one is usually cheaper, and cannot be given up before its end. */
export type Commitment = 'none' | 'one-month' | 'six-months'

export interface ProvisionedThroughput {
  /** Unique on the server; calls may name it, as its ARN does. */
  readonly id: string
  /** As the team calls it, unique on the server: calls may name it like a model. */
  readonly name: string
  readonly team: string
  /** One of this machine, by its own name. */
  readonly model: string
  readonly units: number
  readonly commitment: Commitment
  /** Epoch milliseconds; null = without. */
  readonly commitmentEndsMs: number | null
  /** Who has bought it; the hours are on its account. */
  readonly keyId: string
  readonly createdMs: number
  readonly modifiedMs: number
  readonly tags: Readonly<Record<string, string>>
}

export interface ProvisionedOrder {
  readonly team: string
  readonly keyId: string
  readonly name: string
  /** Any name that leads to one model of this machine. */
  readonly model: string
  readonly units: number
  readonly commitment: Commitment
  readonly tags: Readonly<Record<string, string>>
  /** null = none: the same order again is another one. */
  readonly token: string | null
}

/** Of one team: `who` is an id or a name of its own. */
export interface ProvisionedQuery {
  readonly team: string
  readonly who: string
}

export interface ProvisionedDesk {
  /** Of which units are sold. */
  readonly models: readonly string[]
  /**
   * In service when it resolves. Throws conflict (a name that is taken, a token that came with another order), invalid_parameter (a model of
   * which no units are sold), quota_exceeded with how many are wanted and left.
   */
  create(order: ProvisionedOrder): Promise<ProvisionedThroughput>
  /** Throws resource_not_found, as do the following. */
  get(query: ProvisionedQuery): Promise<ProvisionedThroughput>
  /** Of the team, oldest first. */
  list(team: string): Promise<readonly ProvisionedThroughput[]>
  /** Throws conflict for a name that is taken. */
  rename(query: ProvisionedQuery, name: string): Promise<ProvisionedThroughput>
  /** `remove`: keys. At most 50 tags are kept. */
  tag(
    query: ProvisionedQuery,
    tags: { readonly add: Readonly<Record<string, string>>; readonly remove: readonly string[] },
  ): Promise<ProvisionedThroughput>
  /** Throws conflict while a commitment lasts. */
  remove(query: ProvisionedQuery): Promise<void>
}
