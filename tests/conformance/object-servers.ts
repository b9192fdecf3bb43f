/** Servers that speak S3, on this machine, in folders of their own: Ceph's gateway from Debian's packages, and moto where Python has it. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ObjectServer extends AsyncDisposable {
  readonly endpoint: string
}

export const ACCESS_KEY_ID = 'inferd-test'
export const SECRET_ACCESS_KEY = 'inferd-test-secret'
export const HAS_CEPH = ['ceph-mon', 'ceph-osd', 'ceph', 'monmaptool', 'radosgw', 'radosgw-admin'].every(isInstalled)
export const HAS_MOTO = spawnSync('moto_server', ['--help']).status === 0

const START_TIMEOUT_MS = 60_000
const FSID = '7b5b3a9e-0000-4000-8000-000000000001'

/** One monitor, one disk in memory, one gateway; nothing of it is of any use to anybody else. */
export async function startCeph(): Promise<ObjectServer> {
  const folder = mkdtempSync(path.join(tmpdir(), 'inferd-ceph-'))
  const [monPort, port] = [await freePort(), await freePort()]
  const conf = path.join(folder, 'ceph.conf')
  for (const name of ['mon', 'osd', 'run', 'rgw']) mkdirSync(path.join(folder, name))
  writeFileSync(conf, cephConf(folder, monPort, port))
  const run = (command: string, ...args: readonly string[]): void => void execFileSync(command, args, { stdio: 'pipe', timeout: START_TIMEOUT_MS })
  const children: ChildProcess[] = []
  const start = (command: string, ...args: readonly string[]): void => {
    children.push(spawn(command, ['-c', conf, '-f', ...args], { stdio: 'ignore' }))
  }
  const map = path.join(folder, 'monmap')
  run('monmaptool', '--create', '--fsid', FSID, '--addv', 'a', `[v2:127.0.0.1:${monPort}/0]`, map)
  run('ceph-mon', '-c', conf, '-i', 'a', '--mkfs', '--monmap', map)
  start('ceph-mon', '-i', 'a')
  run('ceph', '-c', conf, 'osd', 'create')
  run('ceph-osd', '-c', conf, '-i', '0', '--mkfs')
  start('ceph-osd', '-i', '0')
  start('radosgw', '-n', 'client.rgw')
  const endpoint = `http://127.0.0.1:${port}`
  await untilItAnswers(endpoint)
  const keys = [`--access-key=${ACCESS_KEY_ID}`, `--secret-key=${SECRET_ACCESS_KEY}`]
  run('radosgw-admin', '-c', conf, 'user', 'create', '--uid=inferd', '--display-name=inferd', ...keys)
  return {
    endpoint,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(children.toReversed().map(end))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export async function startMoto(): Promise<ObjectServer> {
  const port = await freePort()
  const child = spawn('moto_server', ['-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' })
  const endpoint = `http://127.0.0.1:${port}`
  await untilItAnswers(endpoint)
  return { endpoint, [Symbol.asyncDispose]: () => end(child) }
}

function cephConf(folder: string, monPort: number, port: number): string {
  return `[global]
fsid = ${FSID}
mon host = [v2:127.0.0.1:${monPort}/0]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
osd objectstore = memstore
memstore device bytes = 2147483648
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data = ${folder}/mon
osd data = ${folder}/osd
run dir = ${folder}/run
admin socket = ${folder}/run/$name.$pid.asok
log file = ${folder}/$name.log
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:${port}
rgw data = ${folder}/rgw
ms mon client mode = crc
auth client required = none
`
}

async function untilItAnswers(endpoint: string): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS
  while (
    !(await fetch(endpoint).then(
      () => true,
      () => false,
    ))
  ) {
    if (Date.now() > deadline) throw new Error(`the object store at ${endpoint} does not start`)
    await sleep(100)
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await exited
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

function isInstalled(command: string): boolean {
  return ['/usr/bin', '/usr/sbin', '/usr/local/bin'].some((folder) => existsSync(path.join(folder, command)))
}
