/** Writes the pages that come from schemas: docs/reference/configuration.md, platform-file.md and platform-file.schema.json. */
import { writeFileSync } from 'node:fs'
import { platformFileJsonSchema, platformFilePage } from '#config/platform-file-page'
import { configurationPage } from '#config/reference-page'

const PAGES = {
  'configuration.md': configurationPage(),
  'platform-file.md': platformFilePage(),
  'platform-file.schema.json': platformFileJsonSchema(),
}
for (const [name, text] of Object.entries(PAGES)) writeFileSync(new URL(`../docs/reference/${name}`, import.meta.url), text)
