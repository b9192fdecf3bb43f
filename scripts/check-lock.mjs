// `npm ci` fails for good when the lock misses an optional platform package (a hole in the registry at the time of the lock).
import { readFileSync } from 'node:fs'

const { packages } = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'))
const present = new Set(Object.keys(packages).map((key) => key.split('node_modules/').pop()))
const missing = Object.entries(packages).flatMap(([key, entry]) =>
  Object.keys(entry.optionalDependencies ?? {})
    .filter((name) => !present.has(name))
    .map((name) => `${key || 'root'} needs ${name}`),
)
if (missing.length > 0) {
  console.error(`package-lock.json misses optional packages, so npm ci would fail:\n${missing.join('\n')}`)
  process.exit(1)
}
