/** One owner per power: each dangerous thing is reachable from one room only. */
import { expect, test } from 'vitest'
import { productSources } from './source-tree.ts'

interface Power {
  readonly name: string
  readonly pattern: RegExp
  readonly owners: RegExp
}

const POWERS: readonly Power[] = [
  { name: 'the environment', pattern: /process\.env\b/, owners: /^src\/config\// },
  // egress judges addresses with node:net; it opens no socket.
  { name: 'node:http', pattern: /from 'node:(http|https|http2|net)'|from 'fastify'/, owners: /^src\/(server\/http\/|upstreams\/egress\.ts)/ },
  { name: 'connections to other servers', pattern: /from 'undici'/, owners: /^src\/upstreams\/upstream-client\.ts/ },
  { name: 'the client of S3', pattern: /from '@aws-sdk\//, owners: /^src\/platform\/objects\// },
  { name: 'the native addon', pattern: /\.node['"`]|createRequire/, owners: /^src\/engine\/kernels\/native\// },
  {
    name: 'the clock',
    pattern: /\bDate\.now\(|performance\.now\(|\bnew Date\(\)|\bsetTimeout\(|\bsetInterval\(|AbortSignal\.timeout\(|process\.hrtime/,
    owners: /^src\/base\/clock\.ts$/,
  },
  { name: 'randomness', pattern: /Math\.random\(|randomBytes\(|randomUUID\(|getRandomValues\(/, owners: /^src\/base\/random\.ts$/ },
  { name: 'process.exit', pattern: /process\.exit\(|process\.exitCode\s*=/, owners: /^src\/(main\.ts|cli\/)/ },
  { name: 'standard output', pattern: /console\.|process\.stdout|process\.stderr/, owners: /^src\/(main\.ts|cli\/|telemetry\/)/ },
  { name: 'child processes', pattern: /from 'node:(child_process|cluster)'/, owners: /^src\/platform\/replicas\// },
  { name: 'SQL', pattern: /from 'node:sqlite'|from 'kysely'|from 'pg'/, owners: /^src\/platform\/store\// },
  { name: 'dynamic code', pattern: /\beval\(|new Function\(/, owners: /^$/ },
]

for (const power of POWERS) {
  test(`${power.name} has one owner`, () => {
    const bad = productSources
      .filter((file) => !power.owners.test(file.path))
      .flatMap((file) =>
        file.lines.flatMap((line, index) =>
          power.pattern.test(line.replace(/\/\/.*$|^\s*\*.*$/, '')) ? [`${file.path}:${index + 1} ${line.trim()}`] : [],
        ),
      )
    expect(bad).toEqual([])
  })
}
