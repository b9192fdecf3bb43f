import fc from 'fast-check'
import { expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { qualitySection } from '#config/platform-file/quality'
import { PLAIN_OUTPUT, type GenerateEvent } from '#contract/generate'
import { answerOf, ask, callOf, eventsOf, requestOf, targetOf, textOf } from '../../../tests/safety/stage-calls.ts'
import { JsonShape } from './json-shape.ts'
import { qualityPolicyOf } from './quality-policy.ts'
import { makeQualityStage, type QualityPolicy } from './quality-stage.ts'
import { DEFAULT_LIMITS, MAX_PERIOD, StreamMonitor } from './stream-monitor.ts'

const WARN = qualityPolicyOf({}, 'm')!
const PROSE = `The river begins in the hills and runs north. People have lived beside it for a very long time, and the towns along its banks still
hold markets each week. In spring the water is high; in autumn one can walk across it. Nobody knows who built the first bridge, but the second
was made of oak, and its remains are kept in a museum that few visit. There are 14 locks, 3 weirs and one old mill whose wheel turns no more.`
const CODE = `function add(a, b) {\n  return a + b\n}\n\nfunction sub(a, b) {\n  return a - b\n}\n\nfor (let i = 0; i < 10; i++) {\n        console.log(i)\n}\n`
const TABLE = Array.from({ length: 30 }, (_, i) => `| ${i} | row ${i * 7} | ${i % 3 === 0 ? 'yes' : 'no'} |`).join('\n')

function faultOf(text: string): string | null {
  return new StreamMonitor(DEFAULT_LIMITS).push(text)?.fault ?? null
}

test.each([
  ['prose', PROSE],
  ['code', CODE],
  ['a table', TABLE],
  ['a rule of dashes', `Title\n${'-'.repeat(120)}\ntext follows`],
  ['German', 'Übergrößenträger äußerten höflich Änderungswünsche: „Straße“ – ÖPNV, 5 € für Öl.'],
  ['Chinese', '河流从山间流出,向北而去。人们在河边生活了很久,沿岸的城镇每周仍有集市。'],
  ['a short chorus', 'la la la, la la la, we sing and we go home. '],
])('%s is no fault', (_, text) => {
  expect(faultOf(text)).toBeNull()
})

test.each([
  ['repetition', `${PROSE} ${'I am sorry, I cannot. '.repeat(12)}`],
  ['repetition', `begin ${'ab'.repeat(200)}`],
  ['repetition', `${PROSE} ${`${PROSE.slice(0, 400)}\n`.repeat(5)}`],
  ['whitespace', `text${' \n\t'.repeat(90)}`],
  ['broken-encoding', 'text \ufffd\ufffd\ufffd\ufffd'],
  ['broken-encoding', 'schÃ¶nÃ¼berÃ¤Ã¶Ã¼Ã¤'],
] as const)('%s is found', (fault, text) => {
  expect(faultOf(text)).toBe(fault)
})

test('a text of two signs at random says nothing', () => {
  const bits = Array.from({ length: 400 }, (_, i) => ((Math.imul(i + 1, 0x9e3779b1) >>> 13) & 1 ? 'a' : 'b')).join('')
  expect(['low-entropy', 'repetition']).toContain(faultOf(bits))
})

test('a loop of any period is found, wherever it is cut into pieces', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0x61, max: 0x7a }), { minLength: 3, maxLength: MAX_PERIOD }),
      fc.integer({ min: 1, max: 50 }),
      (codes, size) => {
        const period = String.fromCharCode(...codes)
        const text = `${PROSE}${period.repeat(Math.ceil(600 / period.length) + 6)}`
        const whole = new StreamMonitor(DEFAULT_LIMITS).push(text)
        const monitor = new StreamMonitor(DEFAULT_LIMITS)
        let found = null
        for (let at = 0; at < text.length && found === null; at += size) found = monitor.push(text.slice(at, at + size))
        expect(whole).not.toBeNull()
        expect(found).toEqual(whole)
      },
    ),
    { numRuns: 200, seed: 4 },
  )
})

test('by default a fault is told and nothing else', async () => {
  const stage = makeQualityStage('m', {
    policyOf: () => WARN,
    clock: systemClock,
    adjust: () => false,
  })
  const call = callOf(requestOf(ask('x')))
  const pieces = ['start ', ...Array.from({ length: 80 }, () => 'never ')]
  expect(textOf(await eventsOf(stage(targetOf(answerOf(pieces)).handler), call))).toBe(pieces.join(''))
  expect(call.report.quality).toMatchObject([{ fault: 'repetition', action: 'warn', choice: 0 }])
})

test('stop ends the choice and the model, and bills what was made', async () => {
  const target = targetOf(answerOf(Array.from({ length: 200 }, () => 'never ')))
  const policy: QualityPolicy = { ...WARN, repetition: 'stop' }
  const events = await eventsOf(
    makeQualityStage('m', { policyOf: () => policy, clock: systemClock, adjust: () => false })(target.handler),
    callOf(requestOf(ask('x'))),
  )
  expect(events.slice(-2)).toMatchObject([
    { type: 'choice-end', finishReason: 'degenerate' },
    { type: 'response-end', usage: { promptTokens: 7 } },
  ])
  expect(target.isAborted).toBe(true)
  expect(target.numTaken).toBeLessThan(60)
})

test('a stopped answer is billed with what the model says that it made', async () => {
  const real = { promptTokens: 7, cachedTokens: 3, cacheWriteTokens: 1, completionTokens: 77, reasoningTokens: 0 }
  const call = callOf(requestOf(ask('x')))
  const stage = makeQualityStage('m', {
    policyOf: () => ({ ...WARN, repetition: 'stop' }),

    clock: systemClock,
    adjust: () => false,
  })
  const events = await eventsOf(stage(targetOf(answerOf(Array.from({ length: 200 }, () => 'never ')), real).handler), call)
  expect(events.at(-1)).toEqual({ type: 'response-end', usage: real })
  expect(call.report.isUsageEstimated).toBe(false)
})

test('fallback gives a buffered answer up, and only tells of one that has been seen', async () => {
  const policy: QualityPolicy = { ...WARN, repetition: 'fallback' }
  const stage = makeQualityStage('m', { policyOf: () => policy, clock: systemClock, adjust: () => false })
  const pieces = Array.from({ length: 100 }, () => 'never ')
  await expect(eventsOf(stage(targetOf(answerOf(pieces)).handler), callOf(requestOf(ask('x')), null, { isBuffered: true }))).rejects.toMatchObject({
    code: 'degenerate_output',
  })
  const seen = callOf(requestOf(ask('x')))
  expect(textOf(await eventsOf(stage(targetOf(answerOf(pieces)).handler), seen))).toBe(pieces.join(''))
  expect(seen.report.quality).toMatchObject([{ action: 'warn' }])
})

test('text that cannot become the JSON that was asked for is found', async () => {
  const output = { ...PLAIN_OUTPUT, format: { kind: 'json-object', whitespace: 'flexible' } as const }
  const call = callOf(requestOf(ask('x'), { output }))
  const events: GenerateEvent[] = answerOf(['Sure! Here is', ' {"a":1}'])
  await eventsOf(makeQualityStage('m', { policyOf: () => WARN, clock: systemClock, adjust: () => false })(targetOf(events).handler), call)
  expect(call.report.quality).toMatchObject([{ fault: 'off-schema', atCharacter: 0 }])
  fc.assert(
    fc.property(fc.jsonValue(), (value) => new JsonShape({ isObject: false }).push(JSON.stringify(value, null, 2)) === null),
    { seed: 1 },
  )
})

test('a sure model is only collapsed when it is sure for long', () => {
  const monitor = new StreamMonitor(DEFAULT_LIMITS)
  const faults = Array.from({ length: 400 }, () => monitor.pushLogprob(0)?.fault ?? null)
  expect(faults.indexOf('low-entropy')).toBe(255)
})

test('adjust asks the model for other sampling from the fault on and goes on; a model that cannot is only told of', async () => {
  const policy = qualityPolicyOf(qualitySection.parse({ m: { repetition: 'adjust', adjustment: { temperature: 0.9 } } }), 'm')!
  for (const canAdjust of [true, false]) {
    const asked: unknown[] = []
    const { handler } = targetOf(answerOf([PROSE, 'again and again. '.repeat(40), 'And on.']))
    const adjust = (...given: unknown[]): boolean => {
      asked.push(given)
      return canAdjust
    }
    const call = callOf(requestOf(ask('hi')))
    const answer = await eventsOf(makeQualityStage('m', { policyOf: () => policy, clock: systemClock, adjust })(handler), call)
    expect(asked).toEqual([['m', call.request, { temperature: 0.9 }]])
    expect(call.report.quality.map(({ fault, action }) => [fault, action])).toEqual([['repetition', canAdjust ? 'adjust' : 'warn']])
    expect(textOf(answer)).toContain('And on.')
  }
})

test('a model that is not watched costs nothing', () => {
  const off = qualitySection.parse({
    '*': { repetition: 'off', 'low-entropy': 'off', 'broken-encoding': 'off', whitespace: 'off', 'off-schema': 'off' },
  })
  expect(qualityPolicyOf(off, 'm')).toBeNull()
  const { handler } = targetOf([])
  expect(makeQualityStage('m', { policyOf: () => null, clock: systemClock, adjust: () => false })(handler)).toBe(handler)
})
