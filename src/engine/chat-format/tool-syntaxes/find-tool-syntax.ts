/** Which syntax of tool calls a model speaks: families differ in what their templates write around calls. */
import type { Tokenizer } from '#engine/tokenizers/tokenizer'
import { gemmaSyntax } from './gemma.ts'
import { hermesSyntax } from './hermes.ts'
import { llama3Syntax } from './llama3.ts'
import { mistralArraySyntax, mistralNamedSyntax } from './mistral.ts'
import { pythonicSyntax } from './pythonic.ts'
import type { ToolSyntax, ToolSyntaxName } from './tool-syntax.ts'

/** Written by templates whose calls are of none of these forms (Qwen3-Coder, GLM, Kimi, DeepSeek, Granite and Phi, gpt-oss), whatever else they write. */
const OTHER_SYNTAXES: readonly string[] = [
  '<function=',
  '<arg_key>',
  '<|tool_call_argument_begin|>',
  '<｜tool▁calls▁begin｜>',
  '<|tool_call|>',
  '<|channel|>',
]

/** Null: unknown, so that requests with tools are refused. `templateSource`: a template that writes tools. */
export function findToolSyntax(templateSource: string, tokenizer: Tokenizer): ToolSyntax | null {
  const writes = (text: string): boolean => templateSource.includes(text)
  if (OTHER_SYNTAXES.some(writes)) return null
  if (writes('<start_function_call>')) return gemmaSyntax
  if (writes('[TOOL_CALLS]')) return writes('[ARGS]') ? mistralNamedSyntax : mistralArraySyntax
  if (writes('<tool_call>')) return hermesSyntax
  // Llama 4 explains its form to the model with these names.
  if (writes('func_name1(')) return pythonicSyntax
  if (writes('<|python_tag|>') || writes('{"name": function name, "parameters":')) return llama3Syntax
  if (tokenizer.tokenId('[TOOL_CALLS]') !== null) return tokenizer.tokenId('[ARGS]') === null ? mistralArraySyntax : mistralNamedSyntax
  return tokenizer.tokenId('<tool_call>') === null ? null : hermesSyntax
}

export function toolSyntaxNamed(name: ToolSyntaxName): ToolSyntax {
  switch (name) {
    case 'hermes':
      return hermesSyntax
    case 'llama3':
      return llama3Syntax
    case 'mistral-array':
      return mistralArraySyntax
    case 'mistral-named':
      return mistralNamedSyntax
    case 'gemma':
      return gemmaSyntax
    case 'pythonic':
      return pythonicSyntax
  }
}
