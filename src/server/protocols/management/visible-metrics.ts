/** Of the metrics page what a caller may see: as in the usage report, whoever may not see all sees no other team. */
import type { Principal } from '#contract/principal'

/** Within the value of another label a quote is escaped: it cannot look like a label. */
const TEAM_LABEL = /[{,]team="((?:[^"\\]|\\.)*)"/

export function visibleMetrics(page: string, { scopes, team }: Principal): string {
  if (scopes.includes('admin')) return page
  const own = team.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')
  return page
    .split('\n')
    .filter((line) => line.startsWith('#') || (TEAM_LABEL.exec(line)?.[1] ?? own) === own)
    .join('\n')
}
