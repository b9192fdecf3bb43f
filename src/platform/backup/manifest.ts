/** The list of a backup: a line that says what it is, one for each file, and an end with the hash of all lines before it. */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { InferdError } from '#contract/errors'
import { isEntryName, MANIFEST_NAME } from './backup-layout.ts'

/** postgres: its rows are not in the backup. */
export type StoreKind = 'embedded' | 'postgres'

export interface BackupEntry {
  readonly name: string
  readonly numBytes: number
  /** Hex. */
  readonly sha256: string
  /** As decimal digits: an object's version is known by it. */
  readonly modifiedNs: string
}

export interface BackupHead {
  readonly store: StoreKind
  readonly madeMs: number
}

const FORMAT = 'backup 1'

const headSchema = z.strictObject({ inferd: z.string(), store: z.enum(['embedded', 'postgres']), madeMs: z.int().min(0) })
const entrySchema = z.strictObject({
  name: z.string().max(8192).refine(isEntryName),
  numBytes: z.int().min(0),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  modifiedNs: z.string().regex(/^\d{1,20}$/),
})
const endSchema = z.strictObject({ numEntries: z.int().min(0), sha256: z.string() })

/** Lines with their ends. */
export function* manifestLines({ store, madeMs }: BackupHead, entries: Iterable<BackupEntry>): Generator<string> {
  const hash = createHash('sha256')
  let numEntries = 0
  const hashed = (record: object): string => {
    const line = `${JSON.stringify(record)}\n`
    hash.update(line)
    return line
  }
  yield hashed({ inferd: FORMAT, store, madeMs })
  for (const { name, numBytes, sha256, modifiedNs } of entries) {
    numEntries++
    yield hashed({ name, numBytes, sha256, modifiedNs })
  }
  yield `${JSON.stringify({ numEntries, sha256: hash.digest('hex') })}\n`
}

/**
 * `onHead` comes first. The entries are trusted only when the generator has ended: the end is what says that none is missing. Throws
 * store_failed with the line at fault, and unsupported_parameter for the form of another inferd.
 */
export async function* readManifest(
  lines: AsyncIterable<string> | Iterable<string>,
  onHead: (head: BackupHead) => void,
): AsyncGenerator<BackupEntry> {
  const hash = createHash('sha256')
  let [lineNumber, numEntries, hasEnded] = [0, 0, false]
  for await (const line of lines) {
    lineNumber++
    const record = parseLine(line)
    const end = endSchema.safeParse(record)
    if (hasEnded) throw damaged(lineNumber)
    if (lineNumber > 1 && end.success) {
      if (end.data.numEntries !== numEntries || end.data.sha256 !== hash.digest('hex')) throw damaged(lineNumber)
      hasEnded = true
      continue
    }
    hash.update(`${line}\n`)
    if (lineNumber === 1) {
      onHead(headOf(record))
      continue
    }
    const entry = entrySchema.safeParse(record)
    if (!entry.success) throw damaged(lineNumber)
    numEntries++
    yield entry.data
  }
  if (!hasEnded) throw damaged(lineNumber + 1)
}

function headOf(record: unknown): BackupHead {
  const head = headSchema.safeParse(record)
  if (!head.success) throw damaged(1)
  if (head.data.inferd !== FORMAT)
    throw new InferdError('unsupported_parameter', `the backup has the form '${head.data.inferd}', this inferd reads '${FORMAT}'`)
  return head.data
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return null
  }
}

function damaged(lineNumber: number): InferdError {
  return new InferdError('store_failed', `the backup is damaged: ${MANIFEST_NAME}, line ${lineNumber}`)
}
