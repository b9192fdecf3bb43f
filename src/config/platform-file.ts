/**
 * The platform's file: what cannot be said in flags, as one YAML or JSON document. Each section's schema stands in `platform-file/`;
 * unknown fields are refused by their path, so that a typing mistake never means "off".
 */
import { readFileSync } from 'node:fs'
import { parse as parseYaml, YAMLParseError } from 'yaml'
import { z } from 'zod'
import { InferdError } from '#contract/errors'
import { admissionSection } from './platform-file/admission.ts'
import { alarmsSection } from './platform-file/alarms.ts'
import { asyncInferenceSection } from './platform-file/async-inference.ts'
import { guardrailsSection } from './platform-file/guardrails.ts'
import { jobsSection } from './platform-file/jobs.ts'
import { modelFoldersSection, modelMemorySection, modelsSection } from './platform-file/models.ts'
import { objectsSection } from './platform-file/objects.ts'
import { pricesSection } from './platform-file/prices.ts'
import { provisionedSection } from './platform-file/provisioned.ts'
import { qualitySection } from './platform-file/quality.ts'
import { responseCacheSection } from './platform-file/response-cache.ts'
import { routesSection } from './platform-file/routes.ts'
import { telemetrySection } from './platform-file/telemetry.ts'
import { egressSection, upstreamsSection } from './platform-file/upstreams.ts'

const MAX_FILE_BYTES = 4 * 2 ** 20
const MAX_REPORTED_ISSUES = 8

export const platformFileSchema = z.strictObject({
  models: modelsSection,
  modelFolders: modelFoldersSection,
  modelMemory: modelMemorySection,
  upstreams: upstreamsSection,
  egress: egressSection,
  routes: routesSection,
  guardrails: guardrailsSection,
  quality: qualitySection,
  responseCache: responseCacheSection,
  prices: pricesSection,
  provisioned: provisionedSection,
  admission: admissionSection,
  jobs: jobsSection,
  asyncInference: asyncInferenceSection,
  objects: objectsSection,
  alarms: alarmsSection,
  telemetry: telemetrySection,
})

export type PlatformFile = z.infer<typeof platformFileSchema>

/** What a server without a file has. */
export const EMPTY_PLATFORM_FILE: PlatformFile = platformFileSchema.parse({})

/** Throws invalid_parameter with the file's name and the path of each field at fault. */
export function readPlatformFile(path: string): PlatformFile {
  return parsePlatformFile(readBounded(path), path)
}

/** `name`: how errors call the file. */
export function parsePlatformFile(text: string, name: string): PlatformFile {
  const result = platformFileSchema.safeParse(parseDocument(text, name) ?? {})
  if (result.success) return result.data
  const issues = result.error.issues.slice(0, MAX_REPORTED_ISSUES).map(({ path, message }) => `${fieldPath(path)}: ${message}`)
  throw new InferdError('invalid_parameter', `${name}: ${issues.join('; ')}`, { param: '--config' })
}

function readBounded(path: string): string {
  try {
    const bytes = readFileSync(path)
    if (bytes.length > MAX_FILE_BYTES)
      throw new InferdError('invalid_parameter', `${path} is larger than ${MAX_FILE_BYTES} bytes`, { param: '--config' })
    return bytes.toString('utf8')
  } catch (cause) {
    if (cause instanceof InferdError) throw cause
    throw new InferdError('invalid_parameter', `cannot read ${path}`, { param: '--config', cause })
  }
}

function parseDocument(text: string, name: string): unknown {
  try {
    // No tags, no merge keys, no duplicate keys, few aliases: a document, not a program.
    return parseYaml(text, { schema: 'core', uniqueKeys: true, maxAliasCount: 64, stringKeys: true })
  } catch (cause) {
    const place = cause instanceof YAMLParseError ? cause.message.split('\n')[0] : 'it is neither YAML nor JSON'
    throw new InferdError('invalid_parameter', `${name}: ${place}`, { param: '--config', cause })
  }
}

function fieldPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? String(part) : `${text}.${String(part)}`),
    '',
  )
}
