/** Settings as options of a command, and back. */
import type { Command } from 'commander'
import { readConfig } from '#config/read-config'
import { DATA_SETTINGS, type DataConfig, flagName, type SettingTable } from '#config/schema'

/** Values stay text here; readConfig parses them, so that flags and environment obey the same ranges. */
export function addSettings(command: Command, settings: SettingTable): Command {
  for (const [key, setting] of Object.entries(settings))
    command.option(`${flagName(key)} <${setting.placeholder}>`, `${setting.doc} (default: ${setting.defaultText})`)
  return command
}

/** Throws invalid_parameter. */
export function dataOf(flags: object): DataConfig {
  return readConfig(DATA_SETTINGS, flags as Readonly<Record<string, string | undefined>>)
}
