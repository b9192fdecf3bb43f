/** From the reference of a secret to the secret: the value never stands in a file of settings, and never in a log. */
import { readFileSync } from 'node:fs'
import { InferdError } from '#contract/errors'

const MAX_SECRET_BYTES = 16_384

/** `env:NAME` or the path of a file. Throws invalid_parameter, which names the reference and not what it holds. */
export function readSecret(reference: string): string {
  const value = reference.startsWith('env:') ? process.env[reference.slice(4)] : readFile(reference)
  const secret = value?.trim() ?? ''
  if (secret === '') throw new InferdError('invalid_parameter', `there is no secret at ${reference}`, { param: '--config' })
  if (secret.length > MAX_SECRET_BYTES || /[^\x21-\x7e]/.test(secret))
    throw new InferdError('invalid_parameter', `the secret at ${reference} is not one line of visible ASCII`, { param: '--config' })
  return secret
}

function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new InferdError('invalid_parameter', `cannot read the secret at ${path}`, { param: '--config', cause })
  }
}
