/** The examples run to their end, as a newcomer starts them. */
import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { hasCommand } from '../conformance/aws-commands.ts'

const TIMEOUT_MS = 110_000
const MODES = 11

function run(name: string): string {
  const args = ['--conditions=inferd-source', 'examples/main.ts', name]
  return execFileSync(process.execPath, args, { encoding: 'utf8', timeout: TIMEOUT_MS, stdio: ['ignore', 'pipe', 'pipe'] })
}

test('every deployment mode works with the AWS clients in TypeScript', () => {
  const output = run('aws-modes')
  expect(output).toContain('aws-modes: all of it worked')
  expect(output.match(/\(\d+ ms\)/g)).toHaveLength(MODES)
})

test.runIf(hasCommand('python3', '-c', 'import boto3'))('every deployment mode works with boto3', () => {
  const output = run('aws-modes-python')
  expect(output).toContain('aws-modes-python: all of it worked')
})

test('an example that is not there is refused with those that are', () => {
  expect(() => run('nothing')).toThrow(/aws-modes \| aws-modes-python/)
})
