/** Bedrock's ids of models as names of this server. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { InferdError } from '#contract/errors'
import { modelName } from './model-id.ts'

describe('a model id', () => {
  it.each([
    ['inferd-chat', 'inferd-chat'],
    ['qwen/qwen3:8b', 'qwen/qwen3:8b'],
    ['anthropic.claude-3-haiku-20240307-v1:0', 'anthropic.claude-3-haiku-20240307-v1:0'],
    ['us.anthropic.claude-3-haiku-20240307-v1:0', 'anthropic.claude-3-haiku-20240307-v1:0'],
    ['global.meta.llama3-8b', 'meta.llama3-8b'],
    ['us.chat', 'us.chat'],
    ['arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-8b-instruct-v1:0', 'meta.llama3-8b-instruct-v1:0'],
    ['arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.meta.llama3-8b-instruct-v1:0', 'meta.llama3-8b-instruct-v1:0'],
    ['arn:aws-cn:bedrock:cn-north-1:123456789012:imported-model/qwen/qwen3:8b', 'qwen/qwen3:8b'],
    ['arn:aws:bedrock:us-east-1:123456789012:prompt-router/cheap-first', 'cheap-first'],
    ['arn:aws:sagemaker:us-east-1:123456789012:endpoint/chat', 'chat'],
  ])('%s is %s', (id, name) => {
    expect(modelName(id)).toBe(name)
  })

  it.each([
    ['', 'invalid_parameter'],
    ['x'.repeat(2049), 'invalid_parameter'],
    ['arn:aws:s3:::bucket/key', 'invalid_parameter'],
    ['arn:aws:bedrock:us-east-1::foundation-model/', 'invalid_parameter'],
    ['arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ', 'unsupported_parameter'],
  ])('%j is refused', (id, code) => {
    expect(() => modelName(id)).toThrow(expect.objectContaining({ code, param: 'modelId' }) as Error)
  })

  it('is a name or a refusal, whatever it is', () => {
    const id = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^(arn|aws|bedrock|us|[:./a-z0-9-]){0,30}$/))
    fc.assert(
      fc.property(id, (text) => {
        try {
          expect(modelName(text).length).toBeGreaterThan(0)
        } catch (error) {
          if (!(error instanceof InferdError)) throw error
        }
      }),
      { seed: 1, numRuns: 1000 },
    )
  })
})
