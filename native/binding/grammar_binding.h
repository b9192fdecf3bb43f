// Vocabularies, grammars and matchers for JavaScript: NativeVocabulary, NativeGrammar and NativeMatcher of
// src/engine/kernels/native/addon.ts.
#pragma once
#include <napi.h>

namespace inferd {

void define_grammar(Napi::Env env, Napi::Object exports);

}  // namespace inferd
