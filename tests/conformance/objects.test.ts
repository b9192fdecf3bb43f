/** The same cases on a folder of this machine and on real servers of S3, those that are installed here. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { CreateBucketCommand, ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe } from 'vitest'
import { systemClock } from '#base/clock'
import { systemDisk } from '#platform/objects/disk'
import { FolderBucket } from '#platform/objects/folder-bucket'
import { openS3Bucket } from '#platform/objects/open-s3-bucket'
import { Egress } from '#upstreams/egress'
import { type OpenedBucket, objectCases } from './object-cases.ts'
import { ACCESS_KEY_ID, HAS_CEPH, HAS_MOTO, type ObjectServer, SECRET_ACCESS_KEY, startCeph, startMoto } from './object-servers.ts'

describe('a bucket in a folder', () => {
  const folders: string[] = []
  afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })))

  objectCases(async () => {
    const base = mkdtempSync(path.join(tmpdir(), 'inferd-bucket-'))
    folders.push(base)
    const bucket = new FolderBucket({ disk: systemDisk, name: 'test', base, inside: [], onDamage: () => {} })
    return { bucket, leftovers: async () => readdirSync(path.join(base, '.inferd/incoming')) }
  })
})

describe.skipIf(!HAS_CEPH)('a bucket of Ceph, when its packages are installed', () => {
  s3Cases(startCeph, 'when-required')
})

describe.skipIf(!HAS_MOTO)('a bucket of moto, when Python has it', () => {
  s3Cases(startMoto, 'when-supported')
})

function s3Cases(start: () => Promise<ObjectServer>, checksums: 'when-supported' | 'when-required'): void {
  let server: ObjectServer
  let admin: S3Client
  let numBuckets = 0
  const closers: (() => void)[] = []

  beforeAll(async () => {
    process.env['INFERD_TEST_S3_ID'] = ACCESS_KEY_ID
    process.env['INFERD_TEST_S3_SECRET'] = SECRET_ACCESS_KEY
    server = await start()
    const credentials = { accessKeyId: ACCESS_KEY_ID, secretAccessKey: SECRET_ACCESS_KEY }
    admin = new S3Client({ region: 'us-east-1', endpoint: server.endpoint, forcePathStyle: true, credentials })
  })

  afterAll(async () => {
    closers.forEach((close) => close())
    admin.destroy()
    await server[Symbol.asyncDispose]()
  })

  objectCases(async (): Promise<OpenedBucket> => {
    const name = `test-${++numBuckets}`
    await admin.send(new CreateBucketCommand({ Bucket: name }))
    const entry = {
      region: 'us-east-1',
      endpoint: server.endpoint,
      accessKeyId: 'env:INFERD_TEST_S3_ID',
      secretAccessKey: 'env:INFERD_TEST_S3_SECRET',
      sessionToken: null,
      forcePathStyle: true,
      checksums,
    }
    const egress = new Egress([{ host: '127.0.0.1', allowPrivate: true }])
    const opened = openS3Bucket({ name, entry, egress, clock: systemClock })
    closers.push(() => opened.close())
    const leftovers = async (): Promise<string[]> => {
      const { Uploads = [] } = await admin.send(new ListMultipartUploadsCommand({ Bucket: name }))
      return Uploads.map(({ Key = '' }) => Key)
    }
    return { bucket: opened.bucket, leftovers }
  })
}
