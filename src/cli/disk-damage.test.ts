/** Disks that fail are heard of in one place. */
import { expect, test } from 'vitest'
import { SyncGuard } from '#platform/objects/sync-guard'
import { DiskUpload } from '#platform/files/disk-upload'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { systemDisk } from '#platform/objects/disk'
import { DiskDamage } from './disk-damage.ts'

test('the first disk that fails ends the server, and every one is told to the operator', () => {
  const told: string[] = []
  const damage = new DiskDamage({ error: (_fields: object, message: string) => void told.push(message) })
  expect(damage.signal.aborted).toBe(false)
  damage.tell('the bucket here', Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' }))
  damage.tell('the store', 'disk I/O error')
  expect(told).toEqual(['the disk of the bucket here failed: the server ends', 'the disk of the store failed: the server ends'])
  expect(damage.signal.reason).toMatchObject({
    code: 'store_failed',
    message: 'the disk of the bucket here failed (EIO: i/o error, fsync): look at it, and start inferd again',
  })
})

test('an upload whose sync fails is thrown away, nothing is taken after it, and a full disk is no damage', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'inferd-upload-'))
  const damages: unknown[] = []
  const guard = new SyncGuard({ disk: systemDisk, what: 'the folder of files', onDamage: (error) => damages.push(error) })
  const upload = async (code: string | null): Promise<unknown> => {
    const failing = code === null ? guard : { file: () => guard.file({ sync: () => Promise.reject(Object.assign(new Error(code), { code })) }) }
    const keep = (): Promise<never> => Promise.reject(new Error('nothing is kept here'))
    const incoming = await DiskUpload.open({ file: path.join(folder, 'incoming'), maxBytes: 100, guard: failing, keep, onEnd: () => {} })
    await incoming.write(Buffer.from('text'))
    return incoming.commit({ filename: 'f', purpose: 'batch', expiresAfterS: null }).catch((error: unknown) => error)
  }
  expect(await upload('ENOSPC')).toMatchObject({ code: 'store_failed', message: 'the file could not be written' })
  expect(damages).toEqual([])
  for (const code of ['EIO', null]) {
    expect(await upload(code)).toMatchObject({ code: 'store_failed', message: expect.stringContaining('until inferd is started again') as string })
  }
  expect(damages).toMatchObject([{ code: 'EIO' }])
  expect(readdirSync(folder)).toEqual([])
  rmSync(folder, { recursive: true })
})
