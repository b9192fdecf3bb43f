// The program as the executor runs it: lowered by src/engine/kernels/native/lower-program.ts, where shapes, memory and
// phases were decided. Offsets count floats from the start of the activation arena.
#pragma once
#include <cstdint>
#include <vector>

#include "kv_layer.h"
#include "packed_format.h"

namespace inferd {

enum class OpCode : int32_t { fillRotations, embed, rmsNorm, quantize, linear, rope, kvWrite, attention, gatedActivation, add, selectRows, softcap };
enum class RowKind : int32_t { tokens, outputs, logits };

/** Rows of an activation; offset -1 = none. */
struct Operand {
  int64_t offset = -1;
  int64_t stride = 0;
};

struct Instruction {
  OpCode code = OpCode::add;
  RowKind rows = RowKind::tokens;
  /** a: x, gate, q or k. b: up, v, residual or addend. */
  Operand a, b, out;
  int32_t width = 0;
  /** Index of a matrix (embed, linear), or of a vector (rms_norm); -1 = none. */
  int32_t weight = -1;
  /** Index of the bias vector; -1 = none. */
  int32_t bias = -1;
  /** Byte offset of the quantized activations that a quantize writes and a linear reads; -1 = none. */
  int64_t act = -1;
  int32_t layer = 0, numHeads = 0, headDim = 0, rotaryDim = 0, groupWidth = 0, window = 0, table = 0;
  /** rope: interleaved pairs. gated activation: GELU. */
  bool flag = false;
  float scale = 1, softcap = 0;
  double epsilon = 0;
};

enum class PhaseKind : int32_t { rows, linears, attention };

struct Phase {
  PhaseKind kind = PhaseKind::rows;
  std::vector<Instruction> instructions;
};

struct RotaryTable {
  std::vector<float> inverseFrequencies;
  double magnitude = 1;
  /** Floats from the arena's start: (maxTokens, 2, pairs). */
  int64_t offset = 0;
};

struct MatrixShape {
  Format format;
  int32_t numRows, numColumns;
};

struct ExecutorConfig {
  int32_t numThreads = 1;
  int32_t numLayers = 0, numKvHeads = 0, headDim = 0, vocabSize = 0, hiddenSize = 0;
  int32_t numBlocks = 0, blockSize = 0;
  KvType kvType = KvType::f32;
  int32_t maxTokens = 0, maxSequences = 0, maxOutputs = 0;
  int64_t arenaBytes = 0;
  std::vector<MatrixShape> matrices;
  std::vector<int32_t> vectorLengths;
  std::vector<RotaryTable> tables;
  std::vector<Phase> phases;
  Operand hidden, logits;
};

}  // namespace inferd
