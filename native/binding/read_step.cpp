#include "read_step.h"

#include "read_config.h"

namespace inferd {
namespace {

template <typename ELEMENT> ELEMENT* array_data(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsTypedArray()) return nullptr;
  return value.As<Napi::TypedArrayOf<ELEMENT>>().Data();
}

size_t array_length(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  return value.IsTypedArray() ? value.As<Napi::TypedArray>().ElementLength() : 0;
}

}  // namespace

StepArrays read_step(const Napi::Object& batch) {
  StepArrays step;
  step.numTokens = static_cast<int32_t>(read_number(batch, "numTokens", 0));
  step.numSequences = static_cast<int32_t>(read_number(batch, "numSequences", 0));
  step.numOutputs = static_cast<int32_t>(read_number(batch, "numOutputs", 0));
  step.numLogitRows = static_cast<int32_t>(read_number(batch, "numLogitRows", 0));
  step.tokenIds = array_data<int32_t>(batch, "tokenIds");
  step.positions = array_data<int32_t>(batch, "positions");
  step.slotMapping = array_data<int32_t>(batch, "slotMapping");
  step.sequenceStarts = array_data<int32_t>(batch, "sequenceStarts");
  step.contextLengths = array_data<int32_t>(batch, "contextLengths");
  step.blockTableStarts = array_data<int32_t>(batch, "blockTableStarts");
  step.blockTables = array_data<int32_t>(batch, "blockTables");
  step.outputRows = array_data<int32_t>(batch, "outputRows");
  return step;
}

bool has_step_lengths(const Napi::Object& batch, const StepArrays& step) {
  const size_t numTokens = static_cast<size_t>(step.numTokens), numSequences = static_cast<size_t>(step.numSequences);
  if (step.numTokens < 0 || step.numSequences < 0 || step.numOutputs < 0) return false;
  if (array_length(batch, "tokenIds") < numTokens || array_length(batch, "positions") < numTokens || array_length(batch, "slotMapping") < numTokens) return false;
  if (array_length(batch, "sequenceStarts") < numSequences + 1 || array_length(batch, "blockTableStarts") < numSequences + 1) return false;
  if (array_length(batch, "contextLengths") < numSequences || array_length(batch, "outputRows") < static_cast<size_t>(step.numOutputs)) return false;
  return static_cast<size_t>(step.blockTableStarts[step.numSequences]) <= array_length(batch, "blockTables");
}

SamplingColumns read_sampling(const Napi::Object& sampling) {
  SamplingColumns columns;
  columns.temperature = array_data<float>(sampling, "temperature");
  columns.topK = array_data<int32_t>(sampling, "topK");
  columns.topP = array_data<float>(sampling, "topP");
  columns.minP = array_data<float>(sampling, "minP");
  columns.repetitionPenalty = array_data<float>(sampling, "repetitionPenalty");
  columns.presencePenalty = array_data<float>(sampling, "presencePenalty");
  columns.frequencyPenalty = array_data<float>(sampling, "frequencyPenalty");
  columns.seed = array_data<uint32_t>(sampling, "seed");
  columns.drawIndex = array_data<uint32_t>(sampling, "drawIndex");
  columns.numTopLogprobs = array_data<int32_t>(sampling, "numTopLogprobs");
  columns.penaltyStarts = array_data<int32_t>(sampling, "penaltyStarts");
  columns.penaltyTokenIds = array_data<int32_t>(sampling, "penaltyTokenIds");
  columns.penaltyCounts = array_data<int32_t>(sampling, "penaltyCounts");
  columns.biasStarts = array_data<int32_t>(sampling, "biasStarts");
  columns.biasTokenIds = array_data<int32_t>(sampling, "biasTokenIds");
  columns.biasValues = array_data<float>(sampling, "biasValues");
  columns.maskIndex = array_data<int32_t>(sampling, "maskIndex");
  columns.masks = array_data<uint32_t>(sampling, "masks");
  columns.maskWords = static_cast<int32_t>(read_number(sampling, "maskWords", 0));
  columns.numMasks = columns.maskWords < 1 ? 0 : static_cast<int32_t>(array_length(sampling, "masks") / static_cast<size_t>(columns.maskWords));
  return columns;
}

bool has_sampling_lengths(const Napi::Object& sampling, const SamplingColumns& columns, int32_t numRows) {
  const size_t rows = static_cast<size_t>(numRows);
  if (rows == 0) return true;
  for (const char* name : {"temperature", "topK", "topP", "minP", "repetitionPenalty", "presencePenalty", "frequencyPenalty", "seed", "drawIndex", "numTopLogprobs",
                           "maskIndex"})
    if (array_length(sampling, name) < rows) return false;
  if (array_length(sampling, "penaltyStarts") < rows + 1 || array_length(sampling, "biasStarts") < rows + 1) return false;
  const size_t numPenalties = static_cast<size_t>(columns.penaltyStarts[numRows]), numBiases = static_cast<size_t>(columns.biasStarts[numRows]);
  return array_length(sampling, "penaltyTokenIds") >= numPenalties && array_length(sampling, "penaltyCounts") >= numPenalties &&
         array_length(sampling, "biasTokenIds") >= numBiases && array_length(sampling, "biasValues") >= numBiases;
}

StepOutputs read_outputs(const Napi::Object& output) {
  StepOutputs outputs;
  outputs.sampled.tokenIds = array_data<int32_t>(output, "tokenIds");
  outputs.sampled.nonFinite = array_data<uint8_t>(output, "nonFinite");
  outputs.sampled.logprobs = array_data<float>(output, "logprobs");
  outputs.sampled.topTokenIds = array_data<int32_t>(output, "topTokenIds");
  outputs.sampled.topLogprobs = array_data<float>(output, "topLogprobs");
  outputs.hidden = array_data<float>(output, "hidden");
  outputs.logits = array_length(output, "logits") > 0 ? array_data<float>(output, "logits") : nullptr;
  return outputs;
}

}  // namespace inferd
