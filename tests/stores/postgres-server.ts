/** A PostgreSQL server of this machine in a folder of its own: started, killed, paused and started again by tests. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'

export interface PostgresServer extends AsyncDisposable {
  readonly port: number
  /** A new, empty database; its URL. */
  makeDatabase(): Promise<string>
  /** Resolves when it answers. */
  start(): Promise<void>
  /** Without a checkpoint, as when the machine loses power but for the disk's own cache. */
  crash(): Promise<void>
  /** The server and all its sessions hold still, or go on. */
  pause(isPaused: boolean): void
}

const START_TIMEOUT_MS = 60_000
const folderOfBinaries = findBinaries()

export const HAS_POSTGRES = folderOfBinaries !== null

interface PostgresTerms {
  /** Lines of postgresql.conf. */
  readonly settings?: readonly string[]
  /** Lines of pg_hba.conf before the one that lets everybody in. */
  readonly access?: readonly string[]
  /** PEM texts; null = no TLS. */
  readonly tls?: { readonly certificate: string; readonly key: string } | null
}

export async function startPostgres({ settings = [], access = [], tls = null }: PostgresTerms = {}): Promise<PostgresServer> {
  const folder = mkdtempSync(path.join(tmpdir(), 'inferd-pg-'))
  const owner = ownerOf(folder)
  const data = path.join(folder, 'data')
  const init = ['-D', data, '-U', 'inferd', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync']
  execFileSync(binary('initdb'), init, { ...owner, stdio: 'pipe', cwd: folder })
  writeFileSync(path.join(data, 'pg_hba.conf'), [...access, 'host all all 127.0.0.1/32 trust', ''].join('\n'))
  if (tls !== null) {
    writeFileSync(path.join(data, 'server.crt'), tls.certificate)
    writeFileSync(path.join(data, 'server.key'), tls.key, { mode: 0o600 })
    if (owner.uid !== undefined) chownSync(path.join(data, 'server.key'), owner.uid, owner.gid ?? 0)
  }
  const port = await freePort()
  const args = [
    '-D',
    data,
    '-p',
    String(port),
    '-k',
    folder,
    '-c',
    'listen_addresses=127.0.0.1',
    ...(tls === null ? [] : ['-c', 'ssl=on']),
    ...settings.flatMap((line) => ['-c', line]),
  ]
  let child: ChildProcess | null = null
  let numDatabases = 0
  const admin = `postgres://inferd@127.0.0.1:${port}/postgres`
  const start = async (): Promise<void> => {
    const deadline = Date.now() + START_TIMEOUT_MS
    for (;;) {
      if (child === null || child.exitCode !== null || child.signalCode !== null)
        child = spawn(binary('postgres'), args, { ...owner, stdio: 'ignore', cwd: folder })
      if (await answers(admin)) return
      if (Date.now() > deadline) throw new Error('PostgreSQL does not start')
      await sleep(50)
    }
  }
  const end = async (signal: 'SIGKILL' | 'SIGQUIT'): Promise<void> => {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const exited = new Promise((resolve) => child?.once('exit', resolve))
    child.kill(signal)
    await exited
  }
  await start()
  // A language whose order of words is not that of bytes, so that tests see who relies on it. From version 15 on.
  const [version] = await query(admin, `select current_setting('server_version_num')::int >= 150000 as has_icu`)
  const language = version?.['has_icu'] === true ? `template template0 locale_provider icu icu_locale 'en-US'` : ''
  return {
    port,
    start,
    crash: () => end('SIGKILL'),
    pause: (isPaused) => {
      const pid = child?.pid
      if (pid === undefined) return
      for (const session of [pid, ...childrenOf(pid)]) signalIfThere(session, isPaused ? 'SIGSTOP' : 'SIGCONT')
    },
    makeDatabase: async () => {
      const name = `store_${++numDatabases}`
      await query(admin, `create database ${name} ${language}`)
      return `postgres://inferd@127.0.0.1:${port}/${name}`
    },
    [Symbol.asyncDispose]: async () => {
      await end('SIGQUIT')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** One statement on a connection of its own. */
export async function query(url: string, text: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5000 })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows
  } finally {
    await client.end()
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    await query(url, 'select 1')
    return true
  } catch {
    return false
  }
}

function binary(name: string): string {
  return path.join(folderOfBinaries ?? '', name)
}

/** Of the newest version, in the PATH or where Debian puts it. */
function findBinaries(): string | null {
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root) ? readdirSync(root).toSorted((a, b) => Number(b) - Number(a)) : []
  const folders = [...(process.env['PATH'] ?? '').split(path.delimiter), ...versions.map((version) => path.join(root, version, 'bin'))]
  return folders.find((folder) => ['initdb', 'postgres'].every((name) => existsSync(path.join(folder, name)))) ?? null
}

/** The server refuses to run as root: then it belongs to its own user. */
function ownerOf(folder: string): { readonly uid?: number; readonly gid?: number } {
  if (process.getuid?.() !== 0) return {}
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' })))
  chownSync(folder, uid!, gid!)
  return { uid: uid!, gid: gid! }
}

/** A session may end meanwhile. */
function signalIfThere(pid: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

function childrenOf(pid: number): readonly number[] {
  return execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
    .trim()
    .split(/\s+/)
    .map(Number)
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
