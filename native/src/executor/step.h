// The arrays of one step, borrowed from JavaScript until the step is done. Meaning: src/engine/kernels/kernels.ts.
#pragma once
#include <cstdint>

#include "sampling/sample_row.h"

namespace inferd {

struct StepArrays {
  int32_t numTokens, numSequences, numOutputs, numLogitRows;
  const int32_t *tokenIds, *positions, *slotMapping, *sequenceStarts, *contextLengths, *blockTableStarts, *blockTables, *outputRows;
};

struct StepOutputs {
  SampledColumns sampled;
  /** (numOutputs - numLogitRows, hiddenSize). */
  float* hidden;
  /** (numLogitRows, vocabSize) or null. */
  float* logits;
};

}  // namespace inferd
