/** Who may import whom (STYLE.md, floors). Imports point down only. */
import { expect, test } from 'vitest'
import { importsOf, productSources, type ImportEdge } from './source-tree.ts'

const FLOORS: Readonly<Record<string, number>> = {
  main: 6,
  'engine-library': 5,
  cli: 5,
  server: 4,
  platform: 3,
  bench: 3,
  engine: 2,
  upstreams: 2,
  config: 1,
  telemetry: 1,
  contract: 0,
  base: 0,
}

/** Inside the engine, low to high; a room imports itself and lower ones. */
const ENGINE_ROOMS: Readonly<Record<string, number>> = {
  tensor: 0,
  program: 1,
  weights: 1,
  tokenizers: 1,
  models: 2,
  kernels: 2,
  'kv-cache': 1,
  sampling: 1,
  grammar: 3,
  'chat-format': 4,
  scheduler: 3,
  'structured-output': 5,
  '': 9,
}

/** [from, to]: why. Only types cross here, and the list may only shrink. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'engine/tokenizers -> engine/models': 'GgufValue is the shape of metadata that both read',
  'engine/weights -> engine/models': 'GgufValue and ModelMetadata are what the readers produce',
  'engine/program -> engine/weights': 'the verifier holds a program against a TensorFile',
  'engine/kernels -> engine/grammar': 'the matcher and its tables are a seam that the addon implements',
}

const edges: readonly ImportEdge[] = productSources.flatMap(importsOf).filter((edge) => edge.isOurs)

function floorOf(file: string): string {
  return file.split('/')[1]!.replace(/\.ts$/, '')
}

function engineRoom(file: string): string {
  const parts = file.split('/')
  return parts.length > 3 ? parts[2]! : ''
}

function report(bad: readonly ImportEdge[]): string[] {
  return bad.map((edge) => `${edge.from}:${edge.line} imports ${edge.to}`)
}

test('every floor has a number', () => {
  expect(productSources.map((file) => floorOf(file.path)).filter((floor) => !(floor in FLOORS))).toEqual([])
})

test('imports point down the floors only', () => {
  const bad = edges.filter((edge) => {
    const [from, to] = [floorOf(edge.from), floorOf(edge.to)]
    return from !== to && FLOORS[from]! <= FLOORS[to]! && !(FLOORS[from] === 0 && from === 'contract' && to === 'base')
  })
  expect(report(bad)).toEqual([])
})

test('the server never imports the engine, and the engine never imports config or telemetry', () => {
  const bad = edges.filter(
    (edge) =>
      (floorOf(edge.from) === 'server' && floorOf(edge.to) === 'engine') ||
      (floorOf(edge.from) === 'engine' && ['config', 'telemetry'].includes(floorOf(edge.to))),
  )
  expect(report(bad)).toEqual([])
})

test('upstreams know the contract and the base, nothing else', () => {
  const bad = edges.filter((edge) => floorOf(edge.from) === 'upstreams' && !['upstreams', 'contract', 'base'].includes(floorOf(edge.to)))
  expect(report(bad)).toEqual([])
})

test('the platform enters the engine only by its door', () => {
  const doors = ['src/engine/engine.ts', 'src/engine/load-engine.ts']
  expect(report(edges.filter((edge) => floorOf(edge.from) === 'platform' && floorOf(edge.to) === 'engine' && !doors.includes(edge.to)))).toEqual([])
})

test('protocol families import neither each other nor http nor the platform', () => {
  const bad = edges.filter((edge) => {
    const family = /^src\/server\/protocols\/([^/]+)\//.exec(edge.from)?.[1]
    if (family === undefined) return false
    return (
      edge.to.startsWith('src/server/http/') ||
      edge.to.startsWith('src/platform/') ||
      (/^src\/server\/protocols\/([^/]+)\//.exec(edge.to)?.[1] ?? family) !== family
    )
  })
  expect(report(bad)).toEqual([])
})

test('rooms of the engine import lower rooms only', () => {
  const bad = edges.filter((edge) => {
    if (floorOf(edge.from) !== 'engine' || floorOf(edge.to) !== 'engine') return false
    const [from, to] = [engineRoom(edge.from), engineRoom(edge.to)]
    if (from === to || `engine/${from} -> engine/${to}` in EXCEPTIONS) return false
    return !(from in ENGINE_ROOMS) || !(to in ENGINE_ROOMS) || ENGINE_ROOMS[from]! <= ENGINE_ROOMS[to]!
  })
  expect(report(bad)).toEqual([])
})

test('kv-cache and scheduler know block ids, never tensors', () => {
  const bad = edges.filter(
    (edge) => /^src\/engine\/(kv-cache|scheduler)\//.test(edge.from) && /^src\/engine\/(tensor|program|kernels|weights|models)\//.test(edge.to),
  )
  expect(report(bad)).toEqual([])
})

test('there is no import cycle', () => {
  const graph = new Map<string, string[]>()
  for (const edge of edges) if (!edge.isTypeOnly) graph.set(edge.from, [...(graph.get(edge.from) ?? []), edge.to])
  const state = new Map<string, 'open' | 'done'>()
  const cycles: string[] = []
  const visit = (file: string, trail: readonly string[]): void => {
    if (state.get(file) === 'done') return
    if (state.get(file) === 'open') {
      cycles.push([...trail.slice(trail.indexOf(file)), file].join(' -> '))
      return
    }
    state.set(file, 'open')
    for (const next of graph.get(file) ?? []) visit(next, [...trail, file])
    state.set(file, 'done')
  }
  for (const file of graph.keys()) visit(file, [])
  expect(cycles).toEqual([])
})

test('imports name the file: `./x.ts` in the room, `#room/x` elsewhere', () => {
  const bad = productSources.flatMap((file) =>
    [...file.text.matchAll(/from '(\.\.\/\.\.[^']*|\.[^']*(?<!\.ts)|#[^']*\.(?:ts|js))'/g)].map((match) => `${file.path}: ${match[1]}`),
  )
  expect(bad).toEqual([])
})
