/** What deploy/ starts: a unit that systemd takes, and files that name what is there and start it again when it fails. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { parse } from 'yaml'

const ROOT = path.resolve(import.meta.dirname, '../..')
const folder = mkdtempSync(path.join(tmpdir(), 'inferd-deploy-'))
const unit = readFileSync(path.join(ROOT, 'deploy/systemd/inferd.service'), 'utf8')
const HAS_SYSTEMD = spawnSync('systemd-analyze', ['--version']).status === 0
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('the unit starts again what failed, and waits longer than the server drains', () => {
  const values = new Map(unit.split('\n').flatMap((line) => (/^[A-Z]\w+=/.test(line) ? [line.split(/=(.*)/s) as [string, string]] : [])))
  expect([values.get('Restart'), values.get('KillMode'), Number(values.get('TimeoutStopSec'))]).toEqual(['on-failure', 'mixed', 60])
  for (const file of values.get('ExecStart')!.match(/\/opt\/inferd\S+/g)!) expect(existsSync(file.replace('/opt/inferd', ROOT)), file).toBe(true)
})

test.runIf(HAS_SYSTEMD)(`systemd has nothing to say about the unit${HAS_SYSTEMD ? '' : ' (no systemd-analyze here)'}`, () => {
  const file = path.join(folder, 'inferd.service')
  writeFileSync(file, unit.replaceAll('/opt/inferd', ROOT))
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' })
  expect([status, stderr.split('\n').filter((line) => line.includes('inferd.service'))]).toEqual([0, []])
})

test('the container starts again what failed, and is made of what is there', () => {
  const compose = parse(readFileSync(path.join(ROOT, 'deploy/container/compose.yaml'), 'utf8')) as {
    services: { inferd: { restart: string; stop_grace_period: string; build: { dockerfile: string } } }
  }
  expect(compose.services.inferd).toMatchObject({
    restart: 'on-failure',
    stop_grace_period: '60s',
    build: { dockerfile: 'deploy/container/Dockerfile' },
  })
  const dockerfile = readFileSync(path.join(ROOT, compose.services.inferd.build.dockerfile), 'utf8')
  const copied = [...dockerfile.matchAll(/^COPY --from=build \/opt\/inferd\/(\S+)/gm)].map(([, name]) => name!)
  expect(copied).toContain('dist')
  for (const name of copied) expect(name === 'dist' || existsSync(path.join(ROOT, name)), name).toBe(true)
})
