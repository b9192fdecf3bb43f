/** The processes of a bench: each on one core; what is measured runs as it is published, without the compiler in its memory. */
import { type ChildProcess, execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import path from 'node:path'

export const GATEWAY_CORE = '0'
export const LOAD_CORE = '1'

const ROOT = path.resolve(import.meta.dirname, '../..')
/** Within the package, so that `#` names the compiled modules. */
const COMPILED = path.join(ROOT, '.cache/bench/gateway')
const SUBJECT_SCRIPTS = ['gateway-process', 'bare-process', 'mock-worker-process', 'mock-worker']

/** Compiles the program and the scripts of what is measured. */
export function compileSubjects(): void {
  execFileSync(process.execPath, [path.join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'], { cwd: ROOT, stdio: 'inherit' })
  mkdirSync(COMPILED, { recursive: true })
  for (const script of SUBJECT_SCRIPTS) {
    const source = readFileSync(path.join(import.meta.dirname, `${script}.ts`), 'utf8')
    writeFileSync(path.join(COMPILED, `${script}.js`), stripTypeScriptTypes(source).replaceAll(/'(\.\/[a-z-]+)\.ts'/g, "'$1.js'"))
  }
}

/** A script of SUBJECT_SCRIPTS, compiled. */
export function startSubject(script: string, args: readonly string[] = []): ChildProcess {
  return fork(path.join(COMPILED, `${script}.js`), args, { execPath: 'taskset', execArgv: ['-c', GATEWAY_CORE, process.execPath] })
}

/** A script that makes load, from source. */
export function startLoad(script: string): ChildProcess {
  const execArgv = ['-c', LOAD_CORE, process.execPath, '--conditions=inferd-source']
  return fork(path.join(import.meta.dirname, `${script}.ts`), [], { execPath: 'taskset', execArgv })
}

export async function ask<Answer>(child: ChildProcess, message: object): Promise<Answer> {
  child.send(message)
  const [answer] = (await once(child, 'message')) as [Answer]
  return answer
}
