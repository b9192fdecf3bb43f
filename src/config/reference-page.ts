/** Writes docs/reference/configuration.md from the schema; the tidy test holds the file against it. */
import { CLIENT_SETTINGS, DATA_SETTINGS, ENGINE_SETTINGS, SERVER_SETTINGS, environmentName, flagName, type SettingTable } from './schema.ts'

function table(settings: SettingTable): string {
  const rows = Object.entries(settings).map(
    ([key, setting]) =>
      `| \`${flagName(key)} ${setting.placeholder.replaceAll('|', '\\|')}\` | \`${environmentName(key)}\` | ${setting.defaultText} | ${setting.range} | ${setting.doc} |`,
  )
  return ['| flag | environment | default | values | meaning |', '|---|---|---|---|---|', ...rows].join('\n')
}

export function configurationPage(): string {
  return `# Configuration

Made from \`src/config/schema.ts\` by \`npm run -s docs:configuration\`; do not edit by hand. A flag wins over the environment, the environment over the default.

## Engine (\`inferd serve\`, \`inferd run\`)

${table(ENGINE_SETTINGS)}

## Server (\`inferd serve\`)

${table(SERVER_SETTINGS)}

## Data (\`inferd serve\`, \`inferd keys\`, \`inferd teams\`, \`inferd audit\`, \`inferd usage\`, \`inferd backup\`, \`inferd restore\`)

${table(DATA_SETTINGS)}

## A running server (\`inferd apply\`, \`inferd diff\`, \`inferd status\`, \`inferd delete\`, \`inferd bench\`)

${table(CLIENT_SETTINGS)}
`
}
