/** Which bucket a team's `s3://bucket/key` means. What is not given to a team does not exist for it. */
import type { Bucket, ObjectLocation, ObjectStores } from '#contract/objects'
import { InferdError } from '#contract/errors'
import { parseUri } from './object-key.ts'
import { teamBucket } from './team-bucket.ts'

export interface GrantedBucket {
  readonly bucket: Bucket
  /** null = all. */
  readonly teams: readonly string[] | null
}

export interface TeamStoresOptions {
  readonly granted: ReadonlyMap<string, GrantedBucket>
  /** null = this server keeps nothing of teams. */
  readonly openTeamBucket: ((name: string) => Bucket) | null
}

export class TeamStores implements ObjectStores {
  private readonly options: TeamStoresOptions
  /** One for each team that has come by. */
  private readonly teamBuckets = new Map<string, Bucket>()

  constructor(options: TeamStoresOptions) {
    this.options = options
  }

  locate(team: string, uri: string): ObjectLocation {
    const { bucketName, key } = parseUri(uri)
    const bucket = this.find(team, bucketName)
    if (bucket === null) throw new InferdError('resource_not_found', 'there is no such bucket for this team')
    return { bucket, bucketName, key }
  }

  uriOf(bucketName: string, key: string): string {
    return `s3://${bucketName}/${key}`
  }

  defaultBucket(team: string): string {
    return teamBucket(team)
  }

  private find(team: string, name: string): Bucket | null {
    if (name === teamBucket(team)) return this.ownBucket(name)
    const granted = this.options.granted.get(name)
    return granted !== undefined && (granted.teams === null || granted.teams.includes(team)) ? granted.bucket : null
  }

  private ownBucket(name: string): Bucket | null {
    const { openTeamBucket } = this.options
    const known = this.teamBuckets.get(name)
    if (known !== undefined || openTeamBucket === null) return known ?? null
    const bucket = openTeamBucket(name)
    this.teamBuckets.set(name, bucket)
    return bucket
  }
}
