// Reads the plain objects that src/engine/kernels/native/ hands over. They were made by our own lowering, so a missing
// field means its neutral value, not an error.
#pragma once
#include <napi.h>

#include "executor/lowered_program.h"

namespace inferd {

ExecutorConfig read_config(const Napi::Object& object);

/** A number, or `fallback` where the field is missing or null. */
double read_number(const Napi::Object& object, const char* name, double fallback);

}  // namespace inferd
