/** Flags before environment before defaults; the only reader of the environment. */
import { environmentName, flagName, type SettingTable } from './schema.ts'
import type { Setting } from './setting.ts'

type Values<S extends SettingTable> = { readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never }

/**
 * Reads one table of settings into a frozen record. `flags` holds the text that the command line gave, by key.
 * Throws InferdError('invalid_parameter') naming the flag or variable.
 */
export function readConfig<S extends SettingTable>(
  table: S,
  flags: Readonly<Record<string, string | undefined>>,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Values<S> {
  const values: Record<string, unknown> = {}
  for (const [key, setting] of Object.entries(table)) {
    const fromFlag = flags[key]
    const fromEnvironment = environment[environmentName(key)]
    if (fromFlag !== undefined) values[key] = setting.parse(fromFlag, flagName(key))
    else if (fromEnvironment !== undefined) values[key] = setting.parse(fromEnvironment, environmentName(key))
    else values[key] = setting.default
  }
  return Object.freeze(values) as Values<S>
}
