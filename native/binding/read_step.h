// A step as JavaScript hands it over: its typed arrays borrowed, their lengths checked against their counts.
#pragma once
#include <napi.h>

#include "executor/step.h"

namespace inferd {

StepArrays read_step(const Napi::Object& batch);
/** Arrays long enough for their counts; what the counts index is checked by the executor. */
bool has_step_lengths(const Napi::Object& batch, const StepArrays& step);
SamplingColumns read_sampling(const Napi::Object& sampling);
bool has_sampling_lengths(const Napi::Object& sampling, const SamplingColumns& columns, int32_t numRows);
StepOutputs read_outputs(const Napi::Object& output);

}  // namespace inferd
