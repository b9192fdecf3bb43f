/** Buckets beside those that each team has of its own. */
import { z } from 'zod'

const secret = z
  .string()
  .regex(/^(env:[A-Za-z_][A-Za-z0-9_]*|\/.+|\.{1,2}\/.+)$/, 'a reference: env:NAME or the path of a file, never the secret itself')
  .describe('A reference: `env:NAME`, or the path of a file that holds the secret.')

const MAX_BUCKETS = 1024
/** As S3 names them. */
const BUCKET_NAME = /^(?!inferd[-.])[a-z0-9](?!.*\.\.)[a-z0-9.-]{1,61}[a-z0-9]$/

const s3 = z.strictObject({
  region: z
    .string()
    .regex(/^[a-z0-9-]{1,32}$/)
    .default('us-east-1'),
  endpoint: z
    .string()
    .min(1)
    .max(2048)
    .nullable()
    .default(null)
    .describe("`http://ceph:7480` for a store of one's own; null = AWS. Every host that is asked must be in `egress.hosts`."),
  accessKeyId: secret,
  secretAccessKey: secret,
  sessionToken: secret.nullable().default(null),
  forcePathStyle: z.boolean().default(false).describe('`endpoint/bucket/key` instead of `bucket.endpoint/key`: most stores other than AWS want it.'),
  checksums: z
    .enum(['when-supported', 'when-required'])
    .default('when-supported')
    .describe('when-required: for older stores that refuse the checksums of AWS; Content-MD5 is sent instead.'),
})

const bucket = z
  .strictObject({
    folder: z
      .string()
      .regex(/^\/./, 'an absolute path')
      .max(2048)
      .nullable()
      .default(null)
      .describe('The absolute path of a folder that exists, on a file system with hard links. Either this or `s3`.'),
    s3: s3.nullable().default(null),
    teams: z.array(z.string().min(1).max(256)).max(1024).nullable().default(null).describe('Who may use it; null = every team.'),
  })
  .refine(({ folder, s3: remote }) => (folder === null) !== (remote === null), 'either folder or s3')

export const objectsSection = z
  .strictObject({
    buckets: z
      .record(z.string(), bucket)
      .superRefine((buckets, context) => {
        const names = Object.keys(buckets)
        if (names.length > MAX_BUCKETS) context.addIssue({ code: 'custom', message: `at most ${MAX_BUCKETS} buckets` })
        for (const name of names.filter((text) => !BUCKET_NAME.test(text)))
          context.addIssue({ code: 'custom', path: [name], message: '3 to 63 of a-z, 0-9, . and -, and not as those of teams (inferd-...)' })
      })
      .default({})
      .describe('By name: 3 to 63 of `a-z 0-9 . -`, and not as those of teams (`inferd-`).'),
  })
  .prefault({})
  .describe('Buckets by name, for `s3://bucket/key`. Each team has one of its own besides, `inferd-TEAM`, below the data directory.')

export type ObjectsConfig = z.infer<typeof objectsSection>
export type S3Entry = z.infer<typeof s3>
