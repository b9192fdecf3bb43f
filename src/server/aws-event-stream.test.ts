/** Our frames, read by AWS's own decoder: whole, of any payload, and damaged. */
import { EventStreamCodec } from '@smithy/core/event-streams'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { eventFrame, exceptionFrame } from './aws-event-stream.ts'

const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes as Uint8Array).toString('utf8'),
  (text) => Buffer.from(text, 'utf8'),
)

describe('frames of the AWS event stream', () => {
  it('are read by the smithy decoder with every header and every byte of the payload', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[a-zA-Z]{1,40}$/),
        fc.oneof(fc.string({ unit: 'grapheme' }), fc.uint8Array({ maxLength: 2000 })),
        (name, payload) => {
          const { headers, body } = codec.decode(eventFrame(name, payload))
          expect(headers).toEqual({
            ':event-type': { type: 'string', value: name },
            ':content-type': { type: 'string', value: 'application/json' },
            ':message-type': { type: 'string', value: 'event' },
          })
          expect(Buffer.from(body)).toEqual(Buffer.from(payload as string))
        },
      ),
      { seed: 1, numRuns: 300 },
    )
  })

  it('are the very bytes that the smithy encoder writes', () => {
    const body = Buffer.from('{"contentBlockIndex":0}')
    const theirs = codec.encode({
      headers: {
        ':event-type': { type: 'string', value: 'contentBlockStop' },
        ':content-type': { type: 'string', value: 'application/json' },
        ':message-type': { type: 'string', value: 'event' },
      },
      body,
    })
    expect(Buffer.from(eventFrame('contentBlockStop', body))).toEqual(Buffer.from(theirs))
  })

  it('tell exceptions from events', () => {
    const { headers, body } = codec.decode(exceptionFrame('throttlingException', '{"message":"wait"}'))
    expect(headers[':message-type']?.value).toBe('exception')
    expect(headers[':exception-type']?.value).toBe('throttlingException')
    expect(Buffer.from(body).toString()).toBe('{"message":"wait"}')
  })

  it('carry checksums that see every damaged byte', () => {
    const frame = eventFrame('chunk', '{"bytes":"AA=="}')
    for (let index = 0; index < frame.length; index++) {
      const damaged = Buffer.from(frame)
      damaged[index]! ^= 0x40
      expect(() => codec.decode(damaged), `byte ${index}`).toThrow()
    }
  })
})
