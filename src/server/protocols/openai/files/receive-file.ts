/** `POST /v1/files`: the fields of the form and one file, in any order; the file is never held in memory. */
import { InferdError } from '#contract/errors'
import type { FileShelf, FileUpload, StoredFile } from '#contract/stored-file'
import { invalid, unsupported } from '#server/fields'
import { type PartHead, readMultipart } from '#server/multipart'

export interface FormArguments {
  readonly chunks: AsyncIterable<Uint8Array>
  readonly contentType: string | undefined
  readonly shelf: FileShelf
  readonly team: string
  readonly signal: AbortSignal
}

const MAX_FIELD_BYTES = 1024
const MAX_FILENAME_LENGTH = 512
const FIELDS: readonly string[] = ['purpose', 'expires_after[anchor]', 'expires_after[seconds]']
/** What files are for that this server can use or keep; OpenAI's others belong to features that are not offered. */
const PURPOSES: readonly string[] = ['batch', 'user_data', 'evals']
const OTHER_PURPOSES: readonly string[] = ['assistants', 'fine-tune', 'vision']
const MIN_EXPIRY_S = 3600
const MAX_EXPIRY_S = 2_592_000

/** What has come of the form. At most one upload is open, and it is ended whatever happens. */
interface Form {
  readonly fields: Map<string, string>
  upload: FileUpload | null
  filename: string | null
}

export async function receiveFile({ chunks, contentType, shelf, team, signal }: FormArguments): Promise<StoredFile> {
  const form: Form = { fields: new Map(), upload: null, filename: null }
  let isCommitted = false
  try {
    let part: PartHead | null = null
    let field: Uint8Array[] = []
    for await (const event of readMultipart(chunks, contentType)) {
      signal.throwIfAborted()
      if (event.type === 'part-start') {
        part = event
        field = []
        await beginPart(form, event, shelf, team)
      } else if (event.type === 'part-end') {
        if (part !== null && part.name !== 'file') form.fields.set(part.name, Buffer.concat(field).toString('utf8'))
      } else if (part?.name === 'file') await form.upload?.write(event.bytes)
      else field.push(checkedField(event.bytes, field, part))
    }
    const { upload, filename } = form
    if (upload === null || filename === null) throw invalid('file', 'missing required parameter: file')
    const label = { filename, purpose: readPurpose(form.fields), expiresAfterS: readExpiry(form.fields) }
    isCommitted = true
    return await upload.commit(label)
  } finally {
    if (!isCommitted) await form.upload?.abandon()
  }
}

async function beginPart(form: Form, { name, filename }: PartHead, shelf: FileShelf, team: string): Promise<void> {
  if (form.fields.has(name) || (name === 'file' && form.upload !== null)) throw invalid(name, `${name} was given twice`)
  if (name !== 'file') {
    if (!FIELDS.includes(name)) throw invalid(name.slice(0, 64), `unrecognized argument: ${name.slice(0, 64)}`)
    return
  }
  if (filename === null || filename === '') throw invalid('file', 'file must be sent as a file, with its name')
  if (filename.length > MAX_FILENAME_LENGTH) throw invalid('file', `the name of the file must have at most ${MAX_FILENAME_LENGTH} characters`)
  form.filename = filename
  form.upload = await shelf.receive(team)
}

function checkedField(bytes: Uint8Array, before: readonly Uint8Array[], part: PartHead | null): Uint8Array {
  const numBytes = before.reduce((sum, one) => sum + one.length, bytes.length)
  if (numBytes > MAX_FIELD_BYTES) throw new InferdError('payload_too_large', `${part?.name ?? 'a field'} must have at most ${MAX_FIELD_BYTES} bytes`)
  return bytes.slice()
}

function readPurpose(fields: ReadonlyMap<string, string>): string {
  const purpose = fields.get('purpose')
  if (purpose === undefined) throw invalid('purpose', 'missing required parameter: purpose')
  if (OTHER_PURPOSES.includes(purpose)) throw unsupported('purpose', `purpose with this value is not supported by this server`)
  if (!PURPOSES.includes(purpose)) throw invalid('purpose', `purpose must be one of ${PURPOSES.join(', ')}`)
  return purpose
}

/** Seconds; null = never. */
function readExpiry(fields: ReadonlyMap<string, string>): number | null {
  const anchor = fields.get('expires_after[anchor]')
  const seconds = fields.get('expires_after[seconds]')
  if (anchor === undefined && seconds === undefined) return null
  if (anchor !== 'created_at') throw invalid('expires_after.anchor', 'expires_after.anchor must be created_at')
  const value = /^\d{1,9}$/.test(seconds ?? '') ? Number(seconds) : Number.NaN
  if (!(value >= MIN_EXPIRY_S && value <= MAX_EXPIRY_S)) {
    throw invalid('expires_after.seconds', `expires_after.seconds must be an integer from ${MIN_EXPIRY_S} to ${MAX_EXPIRY_S}`)
  }
  return value
}
