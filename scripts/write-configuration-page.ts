/** Writes the pages that come from schemas: docs/reference/configuration.md, platform-file.md and the JSON schemas of both files. */
import { writeFileSync } from 'node:fs'
import { deploymentFileJsonSchema } from '#config/deployment-file'
import { platformFileJsonSchema, platformFilePage } from '#config/platform-file-page'
import { configurationPage } from '#config/reference-page'

const PAGES = {
  'configuration.md': configurationPage(),
  'platform-file.md': platformFilePage(),
  'platform-file.schema.json': platformFileJsonSchema(),
  'deployment-file.schema.json': deploymentFileJsonSchema(),
}
for (const [name, text] of Object.entries(PAGES)) writeFileSync(new URL(`../docs/reference/${name}`, import.meta.url), text)
