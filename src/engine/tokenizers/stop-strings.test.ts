import { describe, expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { StopStringMatcher } from './stop-strings.ts'

interface Outcome {
  readonly text: string
  readonly matched: string | null
}

function run(stopStrings: readonly string[], pieces: readonly string[], includeStopString = false): Outcome {
  const matcher = new StopStringMatcher(stopStrings, includeStopString)
  let text = ''
  for (const piece of pieces) {
    const scan = matcher.push(piece)
    text += scan.text
    if (scan.matched !== null) return { text, matched: scan.matched }
  }
  return { text: text + matcher.finish(), matched: null }
}

/** The rule itself: the match that ends first, and among those the one that begins first. */
function expected(stopStrings: readonly string[], text: string, includeStopString: boolean): Outcome {
  let best: { readonly start: number; readonly end: number } | null = null
  for (const stop of stopStrings.filter((candidate) => candidate !== '')) {
    const start = text.indexOf(stop)
    if (start < 0) continue
    const end = start + stop.length
    if (best === null || end < best.end || (end === best.end && start < best.start)) best = { start, end }
  }
  if (best === null) return { text, matched: null }
  return { text: text.slice(0, includeStopString ? best.end : best.start), matched: text.slice(best.start, best.end) }
}

describe('StopStringMatcher', () => {
  test('any cut of any text gives what searching the whole text gives', () => {
    const random = new SeededRandom(11)
    const word = (length: number) => Array.from({ length }, () => 'ab\n'[random.nextInt(3)]!).join('')
    for (let round = 0; round < 5000; round += 1) {
      const stopStrings = Array.from({ length: random.nextInt(4) }, () => word(random.nextInt(5)))
      const pieces = Array.from({ length: 1 + random.nextInt(8) }, () => word(random.nextInt(4)))
      const include = random.nextInt(2) === 0
      expect(run(stopStrings, pieces, include)).toEqual(expected(stopStrings, pieces.join(''), include))
    }
  })

  test('text is held back only while it may still become a stop string', () => {
    const matcher = new StopStringMatcher(['\n\nUser:'], false)
    expect(matcher.push('Hello\n')).toEqual({ text: 'Hello', matched: null })
    expect(matcher.push('\nUs')).toEqual({ text: '', matched: null })
    expect(matcher.push('ing')).toEqual({ text: '\n\nUsing', matched: null })
    expect(matcher.push('\n\nUser: x')).toEqual({ text: '', matched: '\n\nUser:' })
  })

  test('without stop strings everything passes at once', () => {
    expect(run(['', ''], ['a', 'b'])).toEqual({ text: 'ab', matched: null })
  })

  test('a stop string over a surrogate pair boundary is found whole', () => {
    expect(run(['😀!'], ['x😀', '!y'])).toEqual({ text: 'x', matched: '😀!' })
  })

  test('a thousand stop strings with a common beginning cost a thousand times nothing', () => {
    const stopStrings = Array.from({ length: 1000 }, (_, index) => `${'a'.repeat(index)}b`)
    expect(run(stopStrings, ['a'.repeat(200_000), 'c'])).toEqual({ text: `${'a'.repeat(200_000)}c`, matched: null })
  })
})
