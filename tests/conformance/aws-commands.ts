/** What the official Python client and the aws CLI need, and whether this machine has them. */
import { execFileSync } from 'node:child_process'

export const COMMAND_TIMEOUT_MS = 60_000

export const AWS_ENVIRONMENT = {
  ...process.env,
  AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'secret',
  AWS_DEFAULT_REGION: 'us-east-1',
  AWS_MAX_ATTEMPTS: '1',
  NO_PROXY: '127.0.0.1',
  no_proxy: '127.0.0.1',
}

export function hasCommand(command: string, ...args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore', timeout: COMMAND_TIMEOUT_MS })
    return true
  } catch {
    return false
  }
}
