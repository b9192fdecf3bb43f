/** Generates text in many scripts, with code, numbers, accents, white space and decoded noise, from a seed. */
import type { Random } from '#base/random'

const WORDS = [
  "the quick brown fox it's we're They'LL I'd don'T students history weather tomorrow predict",
  'der schnelle Fuchs springt über große Straßen Mädchen Flüsse',
  'le garçon mangé où naïve cœur été',
  'быстрая коричневая лиса прыгает через ленивую собаку',
  'القط يجلس على السجادة والكلب يركض',
  'बिल्ली चटाई पर बैठी है और कुत्ता',
  'แมวนั่งบนเสื่อ ฉันรักคุณ',
  '今天天气很好 我们去公园散步 学习语言模型 東京は晴れ ひらがな カタカナ 한국어 문장',
].map((line) => line.split(' '))
const ASCII_SIGNS = Array.from('!?.,;:\'"()[]{}<>@#$%^&*-_=+/\\|~`')
const OTHER_SIGNS = ['...', '—', '“x”', '½', 'Ⅷ', '٣٤', '१२', '１２３', '😀', '👩‍👩‍👧‍👦', '👍🏽', '🇩🇪', '𝔘𝔫𝔦', '\u0301', 'e\u0301\u0323', '\u200d', '\ufeff']
const SIGNS = ASCII_SIGNS.concat(OTHER_SIGNS)
const SPACES = [' ', ' ', ' ', ' ', '  ', '   ', '\t', '\n', '\r\n', '\n\n', ' \n ', '\u00a0', '\u3000', '\u2028']

function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.nextInt(items.length)]!
}

/** About `length` UTF-16 units. */
export function mixedText(random: Random, length: number): string {
  const parts: string[] = []
  let total = 0
  let words = WORDS[0]!
  while (total < length) {
    if (random.nextInt(12) === 0) words = pick(random, WORDS)
    const part = mixedPart(random, words)
    parts.push(part)
    total += part.length
  }
  return parts.join('')
}

function mixedPart(random: Random, words: readonly string[]): string {
  const kind = random.nextInt(20)
  if (kind < 12) return ` ${pick(random, words)}`
  if (kind < 14) return pick(random, SIGNS)
  if (kind < 16) return pick(random, SPACES)
  if (kind < 18) return String(random.nextInt(10 ** (1 + random.nextInt(8))))
  return noise(random)
}

/** Random bytes read as UTF-8. */
export function noise(random: Random): string {
  return Buffer.from(Array.from({ length: 1 + random.nextInt(12) }, () => random.nextInt(256))).toString('utf8')
}
