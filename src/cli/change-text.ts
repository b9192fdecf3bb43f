/** What a document changes and how far that is, as lines of a terminal. Colours only there, and not with NO_COLOR. */
import { styleText } from 'node:util'
import type { DeclaredChange } from '#contract/declaration'
import type { Endpoint } from '#contract/deployment'

const LOOKS = {
  create: { sign: '+', colour: 'green' },
  update: { sign: '~', colour: 'yellow' },
  replace: { sign: '!', colour: 'yellow' },
  delete: { sign: '-', colour: 'red' },
  later: { sign: '.', colour: 'gray' },
  keep: { sign: ' ', colour: 'gray' },
} as const satisfies Readonly<Record<DeclaredChange['action'], { readonly sign: string; readonly colour: 'green' | 'yellow' | 'red' | 'gray' }>>

const INDENT = ' '.repeat(12)

export function isChange({ action }: DeclaredChange): boolean {
  return action !== 'keep'
}

/** A line each, and under it what differs. */
export function changesText(changes: readonly DeclaredChange[]): string {
  const made = changes.filter(isChange)
  if (made.length === 0) return 'nothing to change\n'
  return made
    .map(({ action, kind, name, details }) => {
      const { sign, colour } = LOOKS[action]
      const head = styleText(colour, `${sign} ${action.padEnd(7)}`, { stream: process.stdout })
      return `${head} ${kind} ${name}\n${details.map((line) => `${INDENT}${plainText(line)}\n`).join('')}`
    })
    .join('')
}

/** `support: Updating, shifting 25%; main 1/2, trial 0/1 replicas`. */
export function progressText({ name, status, rollout, variants }: Endpoint): string {
  const way = rollout === null ? status : `${status}, ${rollout.phase} ${rollout.percent}%`
  const counted = variants.filter(({ serverless }) => serverless === null)
  const replicas = counted.map(({ name: variant, currentReplicas, desiredReplicas }) => `${variant} ${currentReplicas}/${desiredReplicas}`)
  return `${name}: ${way}${replicas.length === 0 ? '' : `; ${replicas.join(', ')} replicas`}\n`
}

/** Without what would move a terminal's cursor. */
export function plainText(text: string): string {
  return text.replace(/\p{Cc}/gu, '?')
}
