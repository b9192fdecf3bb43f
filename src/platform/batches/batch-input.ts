/** The input of a batch as lines that know their place: a file of the team, or objects one after the other. */
import type { BatchInput, InputLine } from '#contract/batch'
import { InferdError } from '#contract/errors'
import type { ObjectStores } from '#contract/objects'
import type { FileShelf } from '#contract/stored-file'
import { readLines } from './read-lines.ts'

export interface InputPorts {
  readonly files: Pick<FileShelf, 'get' | 'read'> | null
  readonly objects: ObjectStores | null
  /** Longer lines are unreadable. */
  readonly maxLineBytes: number
}

export interface InputSource {
  readonly team: string
  readonly input: BatchInput
}

export interface PlacedLine {
  /** Of the record, over all of the input. */
  readonly index: number
  /** Which object of the input it is from; 0 for a file. */
  readonly partIndex: number
  readonly line: InputLine
}

/** Throws resource_not_found for what is not there any more, or not as it was when the batch was accepted. */
export async function* readInput(ports: InputPorts, { team, input }: InputSource, signal: AbortSignal): AsyncGenerator<PlacedLine> {
  let index = 0
  const numParts = input.kind === 'file' ? 1 : input.objects.length
  for (let partIndex = 0; partIndex < numParts; partIndex++) {
    const chunks = input.kind === 'file' ? readFile(ports, team, input.fileId) : readObject(ports, { team, input, partIndex }, signal)
    for await (const line of readLines(chunks, ports.maxLineBytes)) {
      signal.throwIfAborted()
      yield { index: index++, partIndex, line }
    }
  }
}

async function* readFile({ files }: InputPorts, team: string, fileId: string): AsyncGenerator<Uint8Array> {
  const file = (await files?.get(team, fileId)) ?? null
  if (files === null || file === null)
    throw new InferdError('resource_not_found', 'the input file does not exist any more', { param: 'input_file_id' })
  yield* files.read(file)
}

interface ObjectPlace {
  readonly team: string
  readonly input: Extract<BatchInput, { readonly kind: 'objects' }>
  readonly partIndex: number
}

async function* readObject({ objects }: InputPorts, { team, input, partIndex }: ObjectPlace, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const wanted = input.objects[partIndex]
  if (objects === null || wanted === undefined) throw new InferdError('resource_not_found', 'this server has no objects')
  const { bucket, key } = objects.locate(team, wanted.uri)
  const meta = await bucket.head(key, signal)
  if (meta === null || meta.etag !== wanted.etag) {
    throw new InferdError('resource_not_found', `${wanted.uri} is not there any more as it was when the job was accepted`)
  }
  yield* bucket.read(key, 0, signal)
}
