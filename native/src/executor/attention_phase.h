// How the attention of one step is cut into chunks. An item is a few tokens of one sequence; its KV heads are chunks of their own. Where that leaves
// threads without work (one stream over a long context), the spans of an item are chunks, and who finishes the last of them adds them up.
#pragma once
#include <atomic>
#include <memory>
#include <vector>

#include "executor/lowered_program.h"
#include "executor/step.h"
#include "kernel_table.h"

namespace inferd {

class AttentionPhase {
 public:
  explicit AttentionPhase(const ExecutorConfig& config);

  /** Of the memory that take_room() wants: the spans of one token of every sequence that the cache has room for. */
  int64_t room_floats() const { return roomFloats_; }
  void take_room(float* room) { room_ = room; }

  /** The number of chunks of this op over the step. */
  int64_t begin(const StepArrays& step, const Instruction& op);
  /** Any thread, once per chunk. task: what all chunks of the op have in common, and the thread's scratch. */
  void run(const KernelTable& kernels, const StepArrays& step, AttentionTask task, int32_t chunk);

 private:
  struct Item {
    int32_t sequence, tokenBegin, tokenEnd;
    int32_t spanBegin, spanEnd;
    int64_t firstChunk;
    /** Its states' place in the room, head after head, and the counter of its first head; -1 where each head is one chunk. */
    int64_t stateOffset;
    int32_t counter;
    bool is_split() const { return stateOffset >= 0; }
  };

  Item item_of(const StepArrays& step, const Instruction& op, int32_t sequence, int32_t tokenBegin, int32_t tokenEnd) const;

  int32_t numThreads_, numKvHeads_, headDimPadded_;
  int64_t roomFloats_ = 0;
  float* room_ = nullptr;
  /** Ordered by firstChunk. */
  std::vector<Item> items_;
  /** Spans that are left, of each head of each split item. */
  std::unique_ptr<std::atomic<int32_t>[]> spansLeft_;
};

}  // namespace inferd
