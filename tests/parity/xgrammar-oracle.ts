/** xgrammar (WASM) as an oracle. Its package says that it is an ES module but holds a UMD bundle, so that the file is evaluated by hand. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { compileFunction, constants } from 'node:vm'
import type * as XGrammarLibrary from '@mlc-ai/web-xgrammar'

type XGrammar = Pick<typeof XGrammarLibrary, 'Grammar' | 'Testings'>

let library: XGrammar | null = null

/** Throws nothing of its own; a grammar that xgrammar refuses ends its WASM instance. */
export function loadXGrammar(): XGrammar {
  if (library === null) {
    const require = createRequire(import.meta.url)
    const file = require.resolve('@mlc-ai/web-xgrammar')
    const module = { exports: {} }
    const evaluate = compileFunction(readFileSync(file, 'utf8'), ['exports', 'module', 'require', '__filename', '__dirname'], {
      filename: file,
      importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    }) as (...args: readonly unknown[]) => void
    evaluate(module.exports, module, require, file, path.dirname(file))
    library = module.exports as XGrammar
  }
  return library
}

/** Whether xgrammar takes each text as a whole. */
export async function xgrammarAccepts(gbnf: string, texts: readonly string[]): Promise<boolean[]> {
  const { Grammar, Testings } = loadXGrammar()
  const grammar = await Grammar.fromEBNF(gbnf)
  const answers: boolean[] = []
  for (const text of texts) answers.push(await Testings.isGrammarAcceptString(grammar, text))
  grammar.dispose()
  return answers
}
