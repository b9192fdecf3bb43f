/** Writes docs/reference/configuration.md from the schema. */
import { writeFileSync } from 'node:fs'
import { configurationPage } from '#config/reference-page'

writeFileSync(new URL('../docs/reference/configuration.md', import.meta.url), configurationPage())
