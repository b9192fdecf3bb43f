// Owns weights, KV cache, activations and threads of one bound program, and runs whole steps of it.
#pragma once
#include <atomic>
#include <memory>
#include <vector>

#include "executor/attention_phase.h"
#include "executor/lowered_program.h"
#include "executor/step.h"
#include "executor/weights.h"
#include "kernel_table.h"
#include "memory/huge_buffer.h"
#include "pool/thread_pool.h"

namespace inferd {

/** Told once when a job is done, on a pool thread. */
class Completion {
 public:
  virtual ~Completion() = default;
  virtual void done() = 0;
};

class Executor final : public Job {
 public:
  Executor(ExecutorConfig config, const KernelTable& kernels);
  /** Opens the gate: a running step ends, with whatever the masks hold. */
  ~Executor() override { open_gate(); }

  /** Bytes of weights, KV cache, activations and scratch together. */
  size_t needed_bytes() const;
  /** packedPath: see Weights. False when memory is refused by the system. Throws std::bad_alloc, or std::system_error when a thread is refused. */
  bool allocate(const char* packedPath);
  size_t kv_cache_bytes() const { return kvCache_.bytes(); }
  size_t activation_bytes() const { return arena_.bytes() + scratch_.bytes(); }
  const KernelTable& kernels() const { return kernels_; }
  const ExecutorConfig& config() const { return config_; }

  const Weights& weights() const { return weights_; }

  /** A sentence about the first index that is out of range, or null. */
  const char* find_fault(const StepArrays& step, const SamplingColumns& sampling) const;
  /** isGated: rows that have a mask are sampled after open_gate(), which must follow; until then others may write the masks. */
  void start_step(const StepArrays& step, const SamplingColumns& sampling, bool isGated, const StepOutputs& outputs, Completion* completion);
  /** Any thread, any time. */
  void open_gate() {
    isGateOpen_.store(1);
    isGateOpen_.notify_all();
  }
  /** Packs file rows into a matrix on all threads. */
  void start_packing(Job* packing) { pool_->submit(packing); }
  /** pairs: (numPairs, 2) block ids, from and to. Not while a step runs. */
  void copy_blocks(const int32_t* pairs, int32_t numPairs);

  int32_t num_phases() const override { return static_cast<int32_t>(config_.phases.size()) + 1; }
  int64_t begin_phase(int32_t phase) override;
  void run_chunk(int32_t phase, int32_t chunk, int32_t thread) override;
  void finish() override;

 private:
  struct LinearSpan {
    int64_t firstChunk;
    int32_t panelsPerChunk, numPanelChunks, tokensPerChunk;
  };

  /** Of the threads, one after the other, then of split attention. */
  size_t scratch_bytes() const;
  int32_t count_rows(RowKind kind) const;
  Rows rows_of(const Operand& operand) const;
  KvLayer kv_layer(int32_t layer) const;
  int64_t begin_rows(const Phase& phase);
  int64_t begin_linears(const Phase& phase);
  void run_rows(const Instruction& op, int32_t begin, int32_t end);
  void fill_rotations(const Instruction& op, int32_t begin, int32_t end);
  void run_linear(const Instruction& op, const LinearSpan& span, int32_t chunk);
  void run_attention(const Instruction& op, int32_t chunk, int32_t thread);
  void run_sampling(int32_t row, int32_t thread);

  ExecutorConfig config_;
  const KernelTable& kernels_;
  Weights weights_;
  HugeBuffer kvCache_, arena_, scratch_;
  std::vector<SamplingScratch> sampling_;
  int32_t headDimPadded_ = 0, keyTile_ = 0;
  int64_t headBytes_ = 0, blockBytes_ = 0, layerBytes_ = 0, scratchFloats_ = 0;

  StepArrays step_ = {};
  SamplingColumns samplingColumns_ = {};
  StepOutputs outputs_ = {};
  Completion* completion_ = nullptr;
  /** 0 while masks are being filled. Those who wait sleep in the kernel. */
  std::atomic<uint32_t> isGateOpen_{1};
  int32_t rowsPerChunk_ = 1, numPhaseRows_ = 0;
  std::vector<LinearSpan> spans_;
  AttentionPhase attention_;
  /** Last, so that its threads are joined before anything goes that a running step still reads. */
  std::unique_ptr<ThreadPool> pool_;
};

/** Packs rows on all threads, then tells `completion`. */
class PackJob final : public Job {
 public:
  PackJob(const PackedMatrix& matrix, int32_t rowStart, int32_t numRows, const uint8_t* fileRows, Completion* completion)
      : matrix_(matrix), rowStart_(rowStart), numRows_(numRows), fileRows_(fileRows), completion_(completion) {}
  int32_t num_phases() const override { return 1; }
  int64_t begin_phase(int32_t phase) override;
  void run_chunk(int32_t phase, int32_t chunk, int32_t thread) override;
  void finish() override { completion_->done(); }

 private:
  PackedMatrix matrix_;
  int32_t rowStart_, numRows_;
  const uint8_t* fileRows_;
  Completion* completion_;
};

}  // namespace inferd
