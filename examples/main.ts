/**
 * Runs an example: `npm run example -- aws-modes`. It starts `inferd serve` on a free port with the example's platform file and a data
 * directory of its own, runs the script against it, and stops it. `--url URL --objects FOLDER` takes a server that is there already.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { awsModes } from './aws-modes.ts'

/** Where the server of an example is, and where the objects of its bucket lie as files. */
export interface ExampleServer {
  readonly url: string
  /** `s3://inferd-local/` */
  readonly objects: string
}

const ROOT = path.resolve(import.meta.dirname, '..')

const EXAMPLES: Readonly<Record<string, (server: ExampleServer) => Promise<void>>> = {
  'aws-modes': awsModes,
  'aws-modes-python': runPython,
}

const { positionals, values } = parseArgs({ allowPositionals: true, options: { url: { type: 'string' }, objects: { type: 'string' } } })
const name = positionals[0] ?? ''
const example = EXAMPLES[name]
if (example === undefined) {
  process.stderr.write(`npm run example -- ${Object.keys(EXAMPLES).join(' | ')} [--url URL --objects FOLDER]\n`)
  process.exit(2)
}
if (values.url === undefined) await withServer(example)
else await example({ url: values.url, objects: values.objects ?? '' })
process.stdout.write(`\n${name}: all of it worked\n`)

async function withServer(run: (server: ExampleServer) => Promise<void>): Promise<void> {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'inferd-example-'))
  const config = path.join(ROOT, 'examples', `${name.replace(/-python$/, '')}.yaml`)
  const args = ['--conditions=inferd-source', 'src/main.ts', 'serve', '--port', '0', '--data-dir', dataDir, '--config', config]
  const server = spawn(process.execPath, [...args, '--log-level', 'warn'], { cwd: ROOT, stdio: ['ignore', 'inherit', 'pipe'] })
  process.once('exit', () => server.kill('SIGKILL'))
  try {
    await run({ url: await urlOf(server), objects: path.join(dataDir, 'objects', 'inferd-local') })
  } finally {
    server.kill('SIGTERM')
    await new Promise((resolve) => (server.exitCode === null ? server.once('exit', resolve) : resolve(null)))
    rmSync(dataDir, { recursive: true, force: true })
  }
}

async function urlOf(server: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: server.stderr! })) {
    process.stderr.write(`  server: ${line}\n`)
    const url = /listens on (http:\/\/\S+)/.exec(line)?.[1]
    if (url === undefined) continue
    server.stderr!.pipe(process.stderr)
    return url
  }
  throw new Error('the server did not start')
}

/** The same with boto3, where this machine has it. */
async function runPython({ url, objects }: ExampleServer): Promise<void> {
  const script = path.join(ROOT, 'examples', 'aws_modes.py')
  const child = spawn('python3', [script, url, objects], { stdio: 'inherit' })
  const code = await new Promise((resolve) => child.once('exit', resolve))
  if (code !== 0) throw new Error(`aws_modes.py ended with ${String(code)}`)
}
