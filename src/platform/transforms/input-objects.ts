/** Which objects a job reads: all under a prefix, or those that a manifest lists, in that order. */
import { InferdError } from '#contract/errors'
import type { Bucket, ObjectStores } from '#contract/objects'
import type { TransformInput } from '#contract/transform'
import { faulty } from './transform-fault.ts'

export interface InputObject {
  readonly uri: string
  readonly bucket: Bucket
  readonly key: string
  /** As it was when it was listed. */
  readonly etag: string
  /** Of its output, without `.out`. */
  readonly name: string
}

export interface InputQuery {
  readonly objects: ObjectStores
  readonly team: string
  readonly input: Pick<TransformInput, 'uri' | 'isManifest'>
}

const PAGE = 1000
const MAX_OBJECTS = 100_000
const MAX_MANIFEST_BYTES = 16 * 2 ** 20

/** Throws invalid_parameter with what is wrong with the input as a whole. */
export async function listInput(query: InputQuery, signal: AbortSignal): Promise<readonly InputObject[]> {
  const found: InputObject[] = []
  const names = new Set<string>()
  for await (const object of query.input.isManifest ? listManifest(query, signal) : listPrefix(query, signal)) {
    if (names.has(object.name)) throw faulty(`two objects of the input have one output: ${object.name}.out`)
    if (found.length === MAX_OBJECTS) throw faulty(`a job reads ${MAX_OBJECTS} objects at most`)
    names.add(object.name)
    found.push(object)
  }
  if (found.length === 0) throw faulty(`No S3 objects found under S3 URL "${query.input.uri}" given in input data source.`)
  return found
}

/** Names begin behind the last slash of the prefix. */
async function* listPrefix({ objects, team, input }: InputQuery, signal: AbortSignal): AsyncGenerator<InputObject> {
  const { bucket, bucketName, key: prefix } = objects.locate(team, input.uri)
  const nameStart = prefix.lastIndexOf('/') + 1
  for (let afterKey: string | null = null; ;) {
    const page = await bucket.list(prefix, afterKey, PAGE, signal)
    for (const { key, etag } of page) {
      // A folder that somebody made by name.
      if (!key.endsWith('/')) yield { uri: objects.uriOf(bucketName, key), bucket, key, etag, name: key.slice(nameStart) }
    }
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE) return
    afterKey = last.key
  }
}

/** `[{"prefix": "s3://bucket/folder/"}, "a.csv", ...]` */
async function* listManifest({ objects, team, input }: InputQuery, signal: AbortSignal): AsyncGenerator<InputObject> {
  const [head, ...names] = await readManifest({ objects, team, input }, signal)
  const prefix = typeof head === 'object' && head !== null && 'prefix' in head ? head.prefix : null
  if (typeof prefix !== 'string') throw faulty('the manifest must begin with {"prefix": "s3://bucket/folder/"}')
  for (const name of names) {
    if (typeof name !== 'string' || name === '') throw faulty('behind its prefix the manifest lists names')
    const uri = prefix + name
    const { bucket, key } = objects.locate(team, uri)
    const meta = await bucket.head(key, signal)
    if (meta === null) throw faulty(`${uri}, which the manifest lists, does not exist`)
    yield { uri, bucket, key, etag: meta.etag, name }
  }
}

async function readManifest({ objects, team, input: { uri } }: InputQuery, signal: AbortSignal): Promise<readonly unknown[]> {
  const { bucket, key } = objects.locate(team, uri)
  const pieces: Uint8Array[] = []
  let numBytes = 0
  for await (const piece of bucket.read(key, 0, signal)) {
    numBytes += piece.length
    if (numBytes > MAX_MANIFEST_BYTES) throw faulty(`a manifest has ${MAX_MANIFEST_BYTES} bytes at most`)
    pieces.push(piece)
  }
  const value = parse(Buffer.concat(pieces).toString('utf8'))
  if (!Array.isArray(value)) throw faulty(`the manifest ${uri} is no JSON array`)
  return value
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new InferdError('invalid_parameter', 'ClientError: the manifest is not valid JSON', { cause })
  }
}
