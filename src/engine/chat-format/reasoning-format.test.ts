import { expect, test } from 'vitest'
import { ChatTemplate } from './chat-template.ts'
import { thinksUnasked } from './reasoning-format.ts'

const TURN = '{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant: '

test.each([
  ['knows no marks', TURN, false],
  ['takes reasoning out of earlier turns', `${TURN}{# after </think> #}`, true],
  ['thinks unless it is told not to', `${TURN}{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>{% endif %}`, true],
  ['thinks only when it is asked', `${TURN}{% if enable_thinking %}<think>\n{% endif %}`, false],
  ['refuses to be probed', `{% if enable_thinking %}<think>{% endif %}{{ raise_exception('no') }}`, true],
])('a model whose template %s', (_, source, expected) => {
  expect(thinksUnasked(ChatTemplate.compile(source), { open: '<think>', close: '</think>' })).toBe(expected)
})
