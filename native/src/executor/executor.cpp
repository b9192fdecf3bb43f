#include "executor/executor.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "pack/pack_rows.h"
#include "sampling/token_mask.h"

namespace inferd {
namespace {

size_t round_up(size_t value, size_t to) { return (value + to - 1) / to * to; }

}  // namespace

Executor::Executor(ExecutorConfig config, const KernelTable& kernels)
    : config_(std::move(config)), kernels_(kernels), weights_(config_.matrices, config_.vectorLengths), attention_(config_) {
  headDimPadded_ = static_cast<int32_t>(round_up(static_cast<size_t>(config_.headDim), 16));
  keyTile_ = std::gcd(config_.blockSize, 16);
  headBytes_ = kv_head_bytes(config_.kvType, config_.blockSize, config_.headDim, headDimPadded_);
  blockBytes_ = static_cast<int64_t>(round_up(static_cast<size_t>(headBytes_ * config_.numKvHeads), 64));
  layerBytes_ = blockBytes_ * config_.numBlocks;
  scratchFloats_ = static_cast<int64_t>(round_up(static_cast<size_t>(attention_scratch_floats(headDimPadded_)), 16));
  for (const Phase& phase : config_.phases) spans_.resize(std::max(spans_.size(), phase.instructions.size()));
}

size_t Executor::needed_bytes() const {
  const size_t cacheBytes = static_cast<size_t>(layerBytes_) * static_cast<size_t>(config_.numLayers);
  const size_t sampling = static_cast<size_t>(config_.numThreads) * static_cast<size_t>(config_.vocabSize) * 16;
  return weights_.bytes() + cacheBytes + static_cast<size_t>(config_.arenaBytes) + scratch_bytes() + sampling;
}

size_t Executor::scratch_bytes() const {
  return static_cast<size_t>(config_.numThreads * scratchFloats_ + attention_.room_floats()) * sizeof(float);
}

bool Executor::allocate(const char* packedPath) {
  const size_t threads = static_cast<size_t>(config_.numThreads);
  const size_t kvCacheBytes = static_cast<size_t>(layerBytes_) * static_cast<size_t>(config_.numLayers);
  if (!weights_.allocate(packedPath) || !kvCache_.allocate(kvCacheBytes) || !arena_.allocate(static_cast<size_t>(config_.arenaBytes)) ||
      !scratch_.allocate(scratch_bytes()))
    return false;
  attention_.take_room(reinterpret_cast<float*>(scratch_.data()) + config_.numThreads * scratchFloats_);
  sampling_.resize(threads);
  for (SamplingScratch& scratch : sampling_) prepare_scratch(scratch, config_.vocabSize);
  pool_ = std::make_unique<ThreadPool>(config_.numThreads);
  return true;
}

const char* Executor::find_fault(const StepArrays& step, const SamplingColumns& sampling) const {
  if (step.numTokens < 1 || step.numTokens > config_.maxTokens) return "numTokens is beyond the step's limits";
  if (step.numSequences < 1 || step.numSequences > config_.maxSequences) return "numSequences is beyond the step's limits";
  if (step.numOutputs < 0 || step.numOutputs > config_.maxOutputs) return "numOutputs is beyond the step's limits";
  if (step.numLogitRows < 0 || step.numLogitRows > step.numOutputs) return "numLogitRows is more than numOutputs";
  const int64_t numSlots = static_cast<int64_t>(config_.numBlocks) * config_.blockSize;
  for (int32_t t = 0; t < step.numTokens; t++) {
    if (step.tokenIds[t] < 0 || step.tokenIds[t] >= config_.vocabSize) return "a token id is outside the vocabulary";
    if (step.positions[t] < 0) return "a position is negative";
    if (step.slotMapping[t] < 0 || step.slotMapping[t] >= numSlots) return "a slot is outside the cache";
  }
  if (step.sequenceStarts[0] != 0 || step.sequenceStarts[step.numSequences] != step.numTokens) return "sequenceStarts do not cover the tokens";
  for (int32_t s = 0; s < step.numSequences; s++) {
    const int32_t length = step.contextLengths[s], numNew = step.sequenceStarts[s + 1] - step.sequenceStarts[s];
    if (numNew < 1 || numNew > length) return "a sequence has fewer cached than new tokens";
    if (step.positions[step.sequenceStarts[s]] != length - numNew) return "positions do not end at the context's length";
    const int32_t tableLength = step.blockTableStarts[s + 1] - step.blockTableStarts[s];
    const int32_t numUsed = (length + config_.blockSize - 1) / config_.blockSize;
    if (step.blockTableStarts[s] < 0 || tableLength < numUsed) return "a block table is shorter than its context";
    for (int32_t i = 0; i < numUsed; i++) {
      const int32_t block = step.blockTables[step.blockTableStarts[s] + i];
      if (block < 0 || block >= config_.numBlocks) return "a block id is outside the cache";
    }
  }
  for (int32_t i = 0; i < step.numOutputs; i++)
    if (step.outputRows[i] < 0 || step.outputRows[i] >= step.numTokens) return "an output row is not a token of the step";
  if (step.numLogitRows == 0) return nullptr;
  if (const char* fault = find_mask_fault(sampling, step.numLogitRows, config_.vocabSize)) return fault;
  for (int32_t i = sampling.biasStarts[0]; i < sampling.biasStarts[step.numLogitRows]; i++)
    if (sampling.biasTokenIds[i] < 0 || sampling.biasTokenIds[i] >= config_.vocabSize) return "a bias token id is outside the vocabulary";
  for (int32_t i = sampling.penaltyStarts[0]; i < sampling.penaltyStarts[step.numLogitRows]; i++)
    if (sampling.penaltyTokenIds[i] < 0 || sampling.penaltyTokenIds[i] >= config_.vocabSize) return "a penalty token id is outside the vocabulary";
  return nullptr;
}

void Executor::start_step(const StepArrays& step, const SamplingColumns& sampling, bool isGated, const StepOutputs& outputs, Completion* completion) {
  isGateOpen_.store(isGated ? 0 : 1);
  step_ = step;
  samplingColumns_ = sampling;
  outputs_ = outputs;
  completion_ = completion;
  pool_->submit(this);
}

void Executor::copy_blocks(const int32_t* pairs, int32_t numPairs) {
  for (int32_t layer = 0; layer < config_.numLayers; layer++) {
    uint8_t* base = kvCache_.data() + layer * layerBytes_;
    for (int32_t i = 0; i < numPairs; i++) std::memcpy(base + pairs[2 * i + 1] * blockBytes_, base + pairs[2 * i] * blockBytes_, static_cast<size_t>(blockBytes_));
  }
}

int32_t Executor::count_rows(RowKind kind) const {
  switch (kind) {
    case RowKind::tokens: return step_.numTokens;
    case RowKind::outputs: return step_.numOutputs;
    default: return step_.numLogitRows;
  }
}

Rows Executor::rows_of(const Operand& operand) const {
  if (operand.offset < 0) return {nullptr, 0};
  return {reinterpret_cast<float*>(arena_.data()) + operand.offset, operand.stride};
}

KvLayer Executor::kv_layer(int32_t layer) const {
  return {kvCache_.data() + layer * layerBytes_, blockBytes_, headBytes_, config_.blockSize, keyTile_,
          config_.numKvHeads, config_.headDim, headDimPadded_, config_.kvType};
}

int64_t Executor::begin_phase(int32_t phase) {
  if (phase == static_cast<int32_t>(config_.phases.size())) return step_.numLogitRows;
  const Phase& p = config_.phases[static_cast<size_t>(phase)];
  switch (p.kind) {
    case PhaseKind::rows: return begin_rows(p);
    case PhaseKind::linears: return begin_linears(p);
    default: return attention_.begin(step_, p.instructions[0]);
  }
}

/** A few rows are not worth waking others; many are cut so that each thread gets several chunks. */
int64_t Executor::begin_rows(const Phase& phase) {
  numPhaseRows_ = count_rows(phase.instructions[0].rows);
  const int32_t perChunk = (numPhaseRows_ + config_.numThreads * 4 - 1) / (config_.numThreads * 4);
  rowsPerChunk_ = numPhaseRows_ <= 2 ? 2 : std::max(2, std::min(perChunk, 16));
  return (numPhaseRows_ + rowsPerChunk_ - 1) / rowsPerChunk_;
}

int64_t Executor::begin_linears(const Phase& phase) {
  constexpr size_t kChunkBytes = size_t{48} << 10;
  constexpr int32_t kTokensPerChunk = 64;
  int64_t numChunks = 0;
  for (size_t i = 0; i < phase.instructions.size(); i++) {
    const Instruction& op = phase.instructions[i];
    const PackedMatrix& m = weights_.matrix(op.weight);
    const int32_t numRows = count_rows(op.rows), numPanels = m.numPanels();
    const int32_t byBytes = std::max<int32_t>(1, static_cast<int32_t>(kChunkBytes / m.panelBytes));
    const int32_t byShare = std::max(1, numPanels / (config_.numThreads * 8));
    LinearSpan& span = spans_[i];
    span.firstChunk = numChunks;
    span.panelsPerChunk = std::min(byBytes, byShare);
    span.numPanelChunks = (numPanels + span.panelsPerChunk - 1) / span.panelsPerChunk;
    span.tokensPerChunk = kTokensPerChunk;
    numChunks += static_cast<int64_t>(span.numPanelChunks) * ((numRows + kTokensPerChunk - 1) / kTokensPerChunk);
  }
  return numChunks;
}

void Executor::run_chunk(int32_t phase, int32_t chunk, int32_t thread) {
  if (phase == static_cast<int32_t>(config_.phases.size())) return run_sampling(chunk, thread);
  const Phase& p = config_.phases[static_cast<size_t>(phase)];
  if (p.kind == PhaseKind::attention) return run_attention(p.instructions[0], chunk, thread);
  if (p.kind == PhaseKind::linears) {
    size_t i = p.instructions.size() - 1;
    while (spans_[i].firstChunk > chunk) i--;
    return run_linear(p.instructions[i], spans_[i], static_cast<int32_t>(chunk - spans_[i].firstChunk));
  }
  const int32_t begin = chunk * rowsPerChunk_, end = std::min(begin + rowsPerChunk_, numPhaseRows_);
  for (const Instruction& op : p.instructions) run_rows(op, begin, end);
}

void Executor::run_rows(const Instruction& op, int32_t begin, int32_t end) {
  const Rows a = rows_of(op.a), b = rows_of(op.b), out = rows_of(op.out);
  switch (op.code) {
    case OpCode::fillRotations: return fill_rotations(op, begin, end);
    case OpCode::embed:
      for (int32_t row = begin; row < end; row++) dequantize_row(weights_.matrix(op.weight), step_.tokenIds[row], op.scale, out.row(row));
      return;
    case OpCode::rmsNorm: return kernels_.rmsNorm(a, out, op.width, op.groupWidth, static_cast<float>(op.epsilon), weights_.vector(op.weight), begin, end);
    case OpCode::quantize: return kernels_.quantizeRows(a, op.width, begin, end, reinterpret_cast<ActGroup*>(arena_.data() + op.act));
    case OpCode::rope: {
      const float* cosSin = reinterpret_cast<float*>(arena_.data()) + config_.tables[static_cast<size_t>(op.table)].offset;
      return kernels_.rope(a, op.width, op.headDim, op.rotaryDim, op.flag, cosSin, begin, end);
    }
    case OpCode::kvWrite: return kernels_.kvWrite(kv_layer(op.layer), a, b, step_.slotMapping, begin, end);
    case OpCode::gatedActivation: return kernels_.gatedActivation(a, b, out, op.width, op.flag, begin, end);
    case OpCode::add: return kernels_.addRows(a, b, out, op.width, begin, end);
    case OpCode::selectRows:
      for (int32_t row = begin; row < end; row++) std::memcpy(out.row(row), a.row(step_.outputRows[row]), sizeof(float) * static_cast<size_t>(op.width));
      return;
    case OpCode::softcap: return kernels_.softcapRows(a, op.width, op.softcap, begin, end);
    default: return;
  }
}

void Executor::fill_rotations(const Instruction& op, int32_t begin, int32_t end) {
  const RotaryTable& table = config_.tables[static_cast<size_t>(op.table)];
  const size_t numPairs = table.inverseFrequencies.size();
  for (int32_t row = begin; row < end; row++) {
    float* cosines = reinterpret_cast<float*>(arena_.data()) + table.offset + static_cast<int64_t>(row) * 2 * static_cast<int64_t>(numPairs);
    for (size_t i = 0; i < numPairs; i++) {
      const double angle = static_cast<double>(step_.positions[row]) * static_cast<double>(table.inverseFrequencies[i]);
      cosines[i] = static_cast<float>(__builtin_cos(angle) * table.magnitude);
      cosines[numPairs + i] = static_cast<float>(__builtin_sin(angle) * table.magnitude);
    }
  }
}

void Executor::run_linear(const Instruction& op, const LinearSpan& span, int32_t chunk) {
  const PackedMatrix& m = weights_.matrix(op.weight);
  const int32_t numRows = count_rows(op.rows), numTokenChunks = (numRows + span.tokensPerChunk - 1) / span.tokensPerChunk;
  const int32_t panel = chunk / numTokenChunks * span.panelsPerChunk, token = chunk % numTokenChunks * span.tokensPerChunk;
  MatmulTask task;
  task.weight = &m;
  task.x = rows_of(op.a);
  task.act = op.act < 0 ? nullptr : reinterpret_cast<const ActGroup*>(arena_.data() + op.act);
  task.out = rows_of(op.out);
  task.bias = op.bias < 0 ? nullptr : weights_.vector(op.bias);
  task.residual = rows_of(op.b);
  task.hasResidual = op.b.offset >= 0;
  task.panelBegin = panel;
  task.panelEnd = std::min(panel + span.panelsPerChunk, m.numPanels());
  task.tokenBegin = token;
  task.tokenEnd = std::min(token + span.tokensPerChunk, numRows);
  kernels_.matmul[static_cast<int>(m.format)](task);
}

void Executor::run_attention(const Instruction& op, int32_t chunk, int32_t thread) {
  AttentionTask task = {};
  task.kv = kv_layer(op.layer);
  task.q = rows_of(op.a);
  task.out = rows_of(op.out);
  task.numHeads = op.numHeads;
  task.scale = op.scale;
  task.softcap = op.softcap;
  task.window = op.window;
  task.scratch = reinterpret_cast<float*>(scratch_.data()) + thread * scratchFloats_;
  attention_.run(kernels_, step_, task, chunk);
}

void Executor::run_sampling(int32_t row, int32_t thread) {
  const float* logits = rows_of(config_.logits).row(row);
  const size_t vocabSize = static_cast<size_t>(config_.vocabSize);
  if (outputs_.logits != nullptr) std::memcpy(outputs_.logits + static_cast<size_t>(row) * vocabSize, logits, vocabSize * sizeof(float));
  if (samplingColumns_.maskIndex != nullptr && samplingColumns_.maskIndex[row] >= 0) isGateOpen_.wait(0);
  sample_row(logits, config_.vocabSize, samplingColumns_, row, sampling_[static_cast<size_t>(thread)], outputs_.sampled);
}

void Executor::finish() {
  const size_t hiddenSize = static_cast<size_t>(config_.hiddenSize);
  for (int32_t row = step_.numLogitRows; row < step_.numOutputs; row++)
    std::memcpy(outputs_.hidden + static_cast<size_t>(row - step_.numLogitRows) * hiddenSize, rows_of(config_.hidden).row(row), hiddenSize * sizeof(float));
  completion_->done();
}

int64_t PackJob::begin_phase(int32_t) { return (rowStart_ % kPanelRows + numRows_ + kPanelRows - 1) / kPanelRows; }

void PackJob::run_chunk(int32_t, int32_t chunk, int32_t) {
  const FormatTraits& t = traits_of(matrix_.format);
  const size_t rowBytes = static_cast<size_t>(matrix_.numColumns / t.blockColumns) * static_cast<size_t>(t.blockBytes);
  const int32_t firstPanel = rowStart_ / kPanelRows;
  const int32_t begin = std::max(rowStart_, (firstPanel + chunk) * kPanelRows), end = std::min(rowStart_ + numRows_, (firstPanel + chunk + 1) * kPanelRows);
  pack_rows(matrix_, begin, end - begin, fileRows_ + static_cast<size_t>(begin - rowStart_) * rowBytes);
}

}  // namespace inferd
