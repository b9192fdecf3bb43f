// Turns one row of logits into a token. The algorithm and its order are defined in src/engine/sampling/sample-reference.ts;
// the selection of the largest is quicker here, the result is the same.
#pragma once
#include <cstdint>
#include <vector>

namespace inferd {

constexpr int32_t kMaxTopLogprobs = 20;

/** Columns of kernels.ts SamplingBatch. */
struct SamplingColumns {
  const float *temperature, *topP, *minP, *repetitionPenalty, *presencePenalty, *frequencyPenalty;
  const int32_t *topK, *numTopLogprobs, *penaltyStarts, *penaltyTokenIds, *penaltyCounts, *biasStarts, *biasTokenIds;
  const uint32_t *seed, *drawIndex;
  const float* biasValues;
  /** Null when no row has a mask. */
  const int32_t* maskIndex;
  /** (numMasks, maskWords). */
  const uint32_t* masks;
  int32_t numMasks, maskWords;
};

/** SAMPLED, NON_FINITE and ALL_FORBIDDEN of src/engine/sampling/sampling-columns.ts. */
enum SamplingStatus : uint8_t { kSampled, kNonFinite, kAllForbidden };

/** Columns of kernels.ts StepOutput. */
struct SampledColumns {
  int32_t* tokenIds;
  /** A SamplingStatus. */
  uint8_t* nonFinite;
  float* logprobs;
  int32_t* topTokenIds;
  float* topLogprobs;
};

/** Owned by one thread; sized once for the vocabulary. */
struct SamplingScratch {
  std::vector<float> logits;
  std::vector<int32_t> ids;
  std::vector<double> weights;
};

void prepare_scratch(SamplingScratch& scratch, int32_t vocabSize);

/** logits: f32 (vocabSize), raw, not changed. Writes entry `row` of every column of `out`; no value of a column can make it read or write elsewhere. */
void sample_row(const float* logits, int32_t vocabSize, const SamplingColumns& sampling, int32_t row, SamplingScratch& scratch, const SampledColumns& out);

}  // namespace inferd
