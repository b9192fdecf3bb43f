/** What a disk says, in words for operator and caller. No path is in them: the bucket's name says where to look. */
import { InferdError } from '#contract/errors'

const WORDS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota of the disk is used up',
  EFBIG: 'the file system takes no file of that size',
  EIO: 'the disk failed',
  EROFS: 'its folder is read-only',
  EACCES: 'inferd may not use its folder',
  EPERM: 'inferd may not do that in its folder',
  ENOENT: 'its folder is not there',
  ENOTDIR: 'its folder is not there',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
  EXDEV: 'a part of its folder is on another file system',
  ENOTSUP: 'its file system lacks what buckets need (hard links)',
  EOPNOTSUPP: 'its file system lacks what buckets need (hard links)',
  ESTALE: 'its network file system has lost the folder',
}

/** `code` of what a disk threw; '' for anything else. */
export function errnoOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : ''
}

/** Ours stay as they are; what has an errno becomes store_failed. */
export function diskError(bucketName: string, error: unknown): unknown {
  const code = errnoOf(error)
  if (error instanceof InferdError || !/^E[A-Z0-9]+$/.test(code)) return error
  if (code === 'ENAMETOOLONG') return new InferdError('invalid_parameter', 'the key is too long for the folder of its bucket', { cause: error })
  return new InferdError('store_failed', `the bucket '${bucketName}' failed: ${WORDS[code] ?? code}`, { cause: error })
}

export function damaged(bucketName: string, words: string): InferdError {
  return new InferdError('store_failed', `the bucket '${bucketName}' failed: ${words}`)
}
