/** The twenty prompts of the greedy comparison: what the shipped model knows, what it does not, and raw text. */
export const GREEDY_PROMPTS: readonly string[] = [
  chat('What is the capital of France?'),
  chat('Capital of Lithuania?'),
  chat('What is 17 + 25?'),
  chat('Say the alphabet.'),
  chat('Tell me a short story about a fox.'),
  chat('Tell me a short story about a dog.'),
  chat('Count from 1 to 30.'),
  chat('Tell me a short story about a bear.'),
  chat('Complete: The quick brown fox'),
  chat('Please count from 50 to 90.'),
  chat('Hello!'),
  chat('Who are you?'),
  chat('What is your name?', 'You are a helpful assistant named Ada.'),
  chat('Which country has Paris as its capital?'),
  chat('Why does the moon follow the river?'),
  chat('日本の首都は？ 🙂'),
  'The quick brown fox',
  'Once upon a time',
  chat('Count down from 60 to 30.'),
  'Once upon a time there was a fox',
]

function chat(question: string, system?: string): string {
  const head = system === undefined ? '' : `<|im_start|>system\n${system}<|im_end|>\n`
  return `${head}<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n`
}
