/** `NAME=PATH` or `PATH`: the name defaults to what the path is called. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { InferdError } from '#contract/errors'

export interface ModelArgument {
  readonly name: string
  readonly path: string
}

/** The models of one server. Throws InferdError('invalid_parameter') when a path is missing or two have one name. */
export function parseModelArguments(texts: readonly string[]): ModelArgument[] {
  const models = texts.map((text) => parseModelArgument(text, '--model'))
  const names = models.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice === undefined) return models
  throw new InferdError('invalid_parameter', `--model: two models have the name '${twice}'; name them: --model NAME=PATH`, { param: '--model' })
}

/** `param` is what the user calls the argument. Throws InferdError('invalid_parameter') when nothing is there. */
export function parseModelArgument(text: string, param: string): ModelArgument {
  const separator = text.indexOf('=')
  const hasName = separator > 0 && !existsSync(text)
  const modelPath = path.resolve(hasName ? text.slice(separator + 1) : text)
  if (!existsSync(modelPath)) throw new InferdError('invalid_parameter', `${param}: there is no file or folder ${modelPath}`, { param })
  return { name: hasName ? text.slice(0, separator) : nameOf(modelPath), path: modelPath }
}

/** `llama-Q8_0-00001-of-00003.gguf` -> `llama-Q8_0`; `llama/model.safetensors` -> `llama`. */
function nameOf(modelPath: string): string {
  const named = /\.safetensors(\.index\.json)?$/.test(modelPath) ? path.dirname(modelPath) : modelPath
  return path
    .basename(named)
    .replace(/\.gguf$/i, '')
    .replace(/-\d{5}-of-\d{5}$/, '')
}
