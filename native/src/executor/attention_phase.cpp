#include "executor/attention_phase.h"

#include <algorithm>

namespace inferd {
namespace {

/** A chunk of more than a share of the work that is one of this many a thread is split. */
constexpr int32_t kSharesPerThread = 4;

int32_t num_spans(int64_t numPositions) { return static_cast<int32_t>((numPositions + kAttentionSpan - 1) / kAttentionSpan); }

}  // namespace

AttentionPhase::AttentionPhase(const ExecutorConfig& config)
    : numThreads_(config.numThreads), numKvHeads_(config.numKvHeads), headDimPadded_((config.headDim + 15) / 16 * 16) {
  int32_t numHeads = 0;
  for (const Phase& phase : config.phases)
    if (phase.kind == PhaseKind::attention) numHeads = std::max(numHeads, phase.instructions[0].numHeads);
  roomFloats_ = num_spans(static_cast<int64_t>(config.numBlocks) * config.blockSize) * attention_state_floats(numHeads, headDimPadded_);
  items_.reserve(static_cast<size_t>(config.maxTokens));
  // Fewer than kSharesPerThread * numThreads heads have more than their share, and all heads of an item are split together.
  spansLeft_ = std::make_unique<std::atomic<int32_t>[]>(static_cast<size_t>(kSharesPerThread * numThreads_ + numKvHeads_));
}

AttentionPhase::Item AttentionPhase::item_of(const StepArrays& step, const Instruction& op, int32_t sequence, int32_t tokenBegin, int32_t tokenEnd) const {
  const int32_t firstPosition = step.positions[tokenBegin], end = firstPosition + tokenEnd - tokenBegin;
  const int32_t first = op.window > 0 && firstPosition >= op.window ? firstPosition - op.window + 1 : 0;
  return {sequence, tokenBegin, tokenEnd, first / kAttentionSpan, num_spans(end), 0, -1, -1};
}

int64_t AttentionPhase::begin(const StepArrays& step, const Instruction& op) {
  const int32_t group = op.numHeads / numKvHeads_, tokensPerItem = std::max(1, kAttentionRows / group);
  const auto work_of = [](const Item& item) { return static_cast<int64_t>(item.tokenEnd - item.tokenBegin) * (item.spanEnd - item.spanBegin); };
  items_.clear();
  int64_t work = 0;
  // Last tokens first: they see the longest contexts, so short ones are left to fill the end of the phase.
  for (int32_t s = step.numSequences - 1; s >= 0; s--) {
    const int32_t begin = step.sequenceStarts[s], end = step.sequenceStarts[s + 1];
    for (int32_t t = begin + (end - begin - 1) / tokensPerItem * tokensPerItem; t >= begin; t -= tokensPerItem) {
      items_.push_back(item_of(step, op, s, t, std::min(t + tokensPerItem, end)));
      work += work_of(items_.back()) * numKvHeads_;
    }
  }
  int64_t numChunks = 0, usedFloats = 0;
  int32_t numCounters = 0;
  for (Item& item : items_) {
    const int32_t numSpans = item.spanEnd - item.spanBegin;
    const int64_t floats = attention_state_floats((item.tokenEnd - item.tokenBegin) * group, headDimPadded_) * numSpans * numKvHeads_;
    item.firstChunk = numChunks;
    if (numThreads_ > 1 && numSpans > 1 && work_of(item) * kSharesPerThread * numThreads_ > work && usedFloats + floats <= roomFloats_) {
      item.stateOffset = usedFloats;
      item.counter = numCounters;
      usedFloats += floats;
      for (int32_t head = 0; head < numKvHeads_; head++) spansLeft_[static_cast<size_t>(numCounters++)].store(numSpans, std::memory_order_relaxed);
    }
    numChunks += static_cast<int64_t>(numKvHeads_) * (item.is_split() ? numSpans : 1);
  }
  return numChunks;
}

void AttentionPhase::run(const KernelTable& kernels, const StepArrays& step, AttentionTask task, int32_t chunk) {
  const Item& item = *(std::upper_bound(items_.begin(), items_.end(), chunk, [](int64_t at, const Item& other) { return at < other.firstChunk; }) - 1);
  const int32_t index = static_cast<int32_t>(chunk - item.firstChunk), numSpans = item.spanEnd - item.spanBegin;
  task.tokenBegin = item.tokenBegin;
  task.tokenEnd = item.tokenEnd;
  task.firstPosition = step.positions[item.tokenBegin];
  task.blockTable = step.blockTables + step.blockTableStarts[item.sequence];
  if (!item.is_split()) {
    task.kvHead = index;
    kernels.attention(task);
    return;
  }
  const int64_t stateFloats = attention_state_floats(task.num_rows(), headDimPadded_);
  task.kvHead = index / numSpans;
  float* states = room_ + item.stateOffset + task.kvHead * numSpans * stateFloats;
  task.spanBegin = item.spanBegin + index % numSpans;
  task.spanEnd = task.spanBegin + 1;
  task.spanStates = states + index % numSpans * stateFloats;
  kernels.attention(task);
  if (spansLeft_[static_cast<size_t>(item.counter + task.kvHead)].fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  task.spanBegin = item.spanBegin;
  task.spanEnd = item.spanEnd;
  task.spanStates = states;
  kernels.mergeSpans(task);
}

}  // namespace inferd
