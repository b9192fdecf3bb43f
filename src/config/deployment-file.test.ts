import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { parseDeclaration } from './deployment-file.ts'

const MODEL = 'models: [{ name: a, served: b }]\n'

test('what is left out has its documented value', () => {
  const text = `${MODEL}endpoints: [{ name: e, variants: [{ model: a, scaling: { min: 2, max: 4, metric: tokens, target: 1 } }], shadows: [{ model: a }] }]`
  expect(parseDeclaration(parse(text), 'f')).toEqual({
    models: [{ name: 'a', source: { served: 'b' }, kvCacheMib: null }],
    endpoints: [
      {
        name: 'e',
        variants: [
          {
            name: 'main',
            model: 'a',
            weight: 1,
            replicas: 2,
            serverless: null,
            scaling: {
              min: 2,
              max: 4,
              tracking: { metric: 'tokens', target: 1, scaleInCooldownS: 300, scaleOutCooldownS: 30 },
              steps: [],
              schedules: [],
            },
          },
        ],
        shadows: [{ name: 'shadow', model: 'a', weight: 100, replicas: 1, serverless: null, scaling: null }],
        rollout: { kind: 'all-at-once', stepPercent: 100, waitMs: 60_000, bakeMs: 0, maxDurationMs: 3_600_000, alarms: [] },
      },
    ],
    provisioned: [],
  })
  expect(parseDeclaration(null, 'f')).toEqual({ models: [], endpoints: [], provisioned: [] })
})

test('a capture keeps both bodies of all calls, when nothing else is said', () => {
  const [endpoint] = parseDeclaration(parse(`${MODEL}endpoints: [{ name: e, variants: [{ model: a }], capture: { to: "s3://b/c" } }]`), 'f').endpoints
  expect(endpoint?.capture).toEqual({
    uri: 's3://b/c',
    percent: 100,
    input: true,
    output: true,
    csvTypes: ['text/csv'],
    jsonTypes: ['application/json', 'text/event-stream'],
  })
})

test.each([
  ['models: [{ name: a }]', /models\.0: give either served or object/],
  ['models: [{ name: a, served: b, object: "s3://x/y" }]', /give either served or object/],
  ['models: [{ name: a, path: /etc/passwd }]', /Unrecognized key: "path"/],
  ['endpoints: [{ name: e, variants: [] }]', /endpoints\.0\.variants: /],
  ['endpoints: [{ name: e, variants: [{ model: none }] }]', /names the model 'none', which models does not have/],
  ['endpoints: [{ name: "../e", variants: [{ model: a }] }]', /endpoints\.0\.name: /],
  ['models: [{ name: a, served: b }, { name: a, served: c }]', /two models have the name 'a'/],
  [
    'models: [{ name: a, served: b }]\nendpoints: [{ name: e, variants: [{ model: a, serverless: {}, replicas: 2 }] }]',
    /a serverless variant has neither replicas nor scaling/,
  ],
  [
    'models: [{ name: a, served: b }]\nendpoints: [{ name: e, variants: [{ model: a, scaling: { min: 3, max: 2, metric: tokens, target: 1 } }] }]',
    /min must not be above max/,
  ],
  ['models: [{ name: a, served: b }]\nendpoints: [{ name: e, variants: [{ model: a }], rollout: { kind: slow } }]', /endpoints\.0\.rollout\.kind: /],
  ['- 1', /expected object/],
  [`${MODEL}endpoints: [{ name: e, variants: [{ model: a }], capture: { to: "https://b/c" } }]`, /capture\.to: s3:\/\/bucket\/prefix/],
  [`${MODEL}endpoints: [{ name: e, variants: [{ model: a }], capture: { to: "s3://b", percent: 100.5 } }]`, /capture\.percent: /],
  [`${MODEL}endpoints: [{ name: e, variants: [{ model: a }], capture: { to: "s3://b", kmsKeyId: k } }]`, /Unrecognized key: "kmsKeyId"/],
  [
    `${MODEL}endpoints: [{ name: e, variants: [{ model: a }], capture: { to: "s3://b", input: false, output: false } }]`,
    /one of input and output must be kept/,
  ],
  [`${MODEL}endpoints: [{ name: e, variants: [{ model: a, weight: 0 }] }]`, /endpoints\.0\.variants: one variant must have a weight above 0/],
  [`${MODEL}endpoints: [{ name: e, variants: [{ model: a }, { model: a }] }]`, /endpoints\.0: two variants have the name 'main'/],
  [`${MODEL}endpoints: [{ name: e, variants: [{ model: a }], shadows: [{ model: a, name: main }] }]`, /two variants have the name 'main'/],
  [
    `${MODEL}endpoints: [{ name: e, variants: [{ model: a }], shadows: [{ model: a, scaling: { max: 2, metric: tokens, target: 1 } }] }]`,
    /endpoints\.0\.shadows\.0: Unrecognized key: "scaling"/,
  ],
  [`${MODEL}endpoints: [{ name: e, variants: [{ model: a }], shadows: [{ model: a, weight: 101 }] }]`, /endpoints\.0\.shadows\.0\.weight: /],
  [`${MODEL}endpoints: [{ name: e, variants: [{ model: a, replicas: 65 }] }]`, /endpoints\.0\.variants\.0\.replicas: /],
  [`${MODEL}endpoints: [{ name: e, variants: [{ model: a, replicas: '2' }] }]`, /endpoints\.0\.variants\.0\.replicas: /],
  [`${MODEL}endpoints: [{ name: e, variants: [{ model: a, serverless: null }] }]`, /endpoints\.0\.variants\.0\.serverless: /],
  ['models: [{ name: a, object: "https://x/y" }]', /models\.0\.object: s3:\/\/bucket\/key/],
])('%j is refused by its place', (text, words) => {
  expect(() => parseDeclaration(parse(text), 'f')).toThrow(words)
})
