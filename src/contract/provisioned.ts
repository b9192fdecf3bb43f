/** Throughput that is bought ahead: model units that reserve tokens a minute for their owner. Words: Bedrock, 2023-04-20. */

export interface ProvisionedThroughput {
  readonly id: string
  readonly name: string
  readonly team: string
  /** Of this server: a model, a route or an endpoint. */
  readonly model: string
  readonly modelUnits: number
  readonly desiredModelUnits: number
  readonly status: 'Creating' | 'InService' | 'Updating' | 'Failed'
  /** Before its end it cannot be deleted; null = none. */
  readonly commitment: 'OneMonth' | 'SixMonths' | null
  readonly commitmentEndsMs: number | null
  readonly failure: string | null
  readonly createdMs: number
  readonly modifiedMs: number
}

/** Methods throw store_failed; another team's is as one that does not exist. */
export interface ProvisionedDesk {
  /** Throws conflict for a name that the team has, overloaded when the model cannot promise so many tokens. */
  create(order: Pick<ProvisionedThroughput, 'name' | 'team' | 'model' | 'modelUnits' | 'commitment'>): Promise<ProvisionedThroughput>
  /** By name, id or ARN of either. */
  find(team: string, nameOrId: string): Promise<ProvisionedThroughput | null>
  list(team: string): Promise<readonly ProvisionedThroughput[]>
  update(team: string, nameOrId: string, change: { readonly name: string | null; readonly model: string | null }): Promise<ProvisionedThroughput>
  /** Throws conflict within a commitment. */
  remove(team: string, nameOrId: string): Promise<void>
}
