// Whole steps of a small program on several threads: the same bits as on one thread, masks that are written while the step runs
// are read whole, and an executor that goes away while a step runs, as it does when the process ends, finishes the step first.
#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "executor/executor.h"
#include "guarded.h"
#include "half.h"
#include "suites.h"

namespace inferd::test {
namespace {

constexpr int32_t kWidth = 64, kVocabSize = 96, kNumHeads = 4, kNumKvHeads = 2, kHeadDim = 16, kBlockSize = 8, kNumTokens = 201, kNumLayers = 3;

class Waiter final : public Completion {
 public:
  void done() override {
    numDone_.fetch_add(1);
    numDone_.notify_all();
  }
  void wait(int32_t count) {
    for (int32_t seen = numDone_.load(); seen < count; seen = numDone_.load()) numDone_.wait(seen);
  }
  int32_t count() const { return numDone_.load(); }

 private:
  std::atomic<int32_t> numDone_{0};
};

/** Floats of the arena: (rows, width) one after the other, then the quantized activations, on a line of their own. */
struct Layout {
  int64_t x = 0, k = x + kNumTokens * kWidth, attended = k + kNumTokens * kWidth, sum = attended + kNumTokens * kWidth, hidden = sum + kNumTokens * kWidth,
          logits = hidden + kNumTokens * kWidth, act = (logits + kNumTokens * kVocabSize + 15) / 16 * 16;
  int64_t bytes = act * 4 + (kNumTokens + 7) / 8 * (kWidth / 32) * static_cast<int64_t>(sizeof(ActGroup));
};

Instruction instruction(OpCode code, Operand a, Operand b, Operand out, int32_t width, int32_t weight = -1) {
  Instruction op;
  op.code = code, op.a = a, op.b = b, op.out = out, op.width = width, op.weight = weight;
  return op;
}

void add_layer(ExecutorConfig& config, int32_t layer, const Layout& at) {
  const Operand x = {at.x, kWidth}, k = {at.k, kWidth}, attended = {at.attended, kWidth}, sum = {at.sum, kWidth};
  Instruction keys = instruction(OpCode::linear, x, {}, k, kWidth, 1);
  Instruction write = instruction(OpCode::kvWrite, k, k, {}, kNumKvHeads * kHeadDim);
  Instruction attention = instruction(OpCode::attention, x, {}, attended, kWidth);
  attention.numHeads = kNumHeads, attention.scale = 0.25f, write.layer = attention.layer = layer;
  Instruction quantize = instruction(OpCode::quantize, attended, {}, {}, kWidth), projection = instruction(OpCode::linear, attended, x, sum, kWidth, 2);
  quantize.act = projection.act = at.act * 4;
  config.phases.push_back({PhaseKind::linears, {keys}});
  config.phases.push_back({PhaseKind::rows, {write}});
  config.phases.push_back({PhaseKind::attention, {attention}});
  config.phases.push_back({PhaseKind::rows, {quantize}});
  config.phases.push_back({PhaseKind::linears, {projection}});
  config.phases.push_back({PhaseKind::rows, {instruction(OpCode::add, x, sum, x, kWidth)}});
}

ExecutorConfig make_config(int32_t numThreads) {
  const Layout at;
  ExecutorConfig config;
  config.numThreads = numThreads, config.numLayers = kNumLayers, config.numKvHeads = kNumKvHeads, config.headDim = kHeadDim;
  config.vocabSize = kVocabSize, config.hiddenSize = kWidth, config.numBlocks = kNumTokens / kBlockSize + 2, config.blockSize = kBlockSize;
  config.maxTokens = config.maxOutputs = kNumTokens, config.maxSequences = 2, config.arenaBytes = at.bytes;
  config.matrices = {{Format::f32, kVocabSize, kWidth}, {Format::f32, kWidth, kWidth}, {Format::q8_0, kWidth, kWidth}};
  config.phases.push_back({PhaseKind::rows, {instruction(OpCode::embed, {}, {}, {at.x, kWidth}, kWidth, 0)}});
  for (int32_t layer = 0; layer < kNumLayers; layer++) add_layer(config, layer, at);
  config.hidden = {at.hidden, kWidth}, config.logits = {at.logits, kVocabSize};
  Instruction select = instruction(OpCode::selectRows, {at.x, kWidth}, {}, config.hidden, kWidth);
  Instruction output = instruction(OpCode::linear, config.hidden, {}, config.logits, kVocabSize, 0);
  select.rows = RowKind::outputs, output.rows = RowKind::logits;
  config.phases.push_back({PhaseKind::rows, {select}});
  config.phases.push_back({PhaseKind::linears, {output}});
  return config;
}

void pack_weights(Executor& executor, Waiter& waiter) {
  Random random(23);
  for (int32_t index = 0; index < 3; index++) {
    const PackedMatrix& m = executor.weights().matrix(index);
    const FormatTraits& t = traits_of(m.format);
    std::vector<uint8_t> rows(static_cast<size_t>(m.numRows * (m.numColumns / t.blockColumns) * t.blockBytes));
    for (size_t start = 0; start < rows.size(); start += static_cast<size_t>(t.blockBytes)) {
      const float value = random.unit() * 0.2f;
      const uint16_t scale = f32_to_f16(0.0005f);
      for (int32_t i = 0; i < t.blockBytes; i++) rows[start + static_cast<size_t>(i)] = static_cast<uint8_t>(random.next());
      if (m.format == Format::f32) std::memcpy(&rows[start], &value, 4);
      else std::memcpy(&rows[start], &scale, 2);
    }
    PackJob packing(m, 0, m.numRows, rows.data(), &waiter);
    const int32_t numBefore = waiter.count();
    executor.start_packing(&packing);
    waiter.wait(numBefore + 1);
  }
}

/** Two sequences, every token an output, half of them sampled. */
class Step {
 public:
  Step() : logits(static_cast<size_t>(kNumSampled) * kVocabSize), hidden_(static_cast<size_t>(kNumTokens - kNumSampled) * kWidth) {
    Random random(29);
    const int32_t firstLength = 70;
    for (int32_t t = 0; t < kNumTokens; t++) {
      const bool isFirst = t < firstLength;
      const int32_t position = isFirst ? t : t - firstLength;
      const int32_t firstBlock = isFirst ? 0 : (firstLength + kBlockSize - 1) / kBlockSize;
      tokens_.push_back(random.below(kVocabSize)), positions_.push_back(position), outputRows_.push_back(t);
      slots_.push_back((firstBlock + position / kBlockSize) * kBlockSize + position % kBlockSize);
    }
    for (int32_t b = 0; b < kNumTokens / kBlockSize + 2; b++) blocks_.push_back(b);
    starts_ = {0, firstLength, kNumTokens}, lengths_ = {firstLength, kNumTokens - firstLength};
    tableStarts_ = {0, (firstLength + kBlockSize - 1) / kBlockSize, static_cast<int32_t>(blocks_.size())};
  }

  /** Every second row has a mask. isGated: fill_masks() and open_gate() follow. */
  void start(Executor& executor, Waiter& waiter, bool isGated) {
    const StepArrays arrays = {kNumTokens,     2,              kNumTokens,          kNumSampled,    tokens_.data(),    positions_.data(),
                               slots_.data(),  starts_.data(), lengths_.data(),     tableStarts_.data(), blocks_.data(), outputRows_.data()};
    const SamplingColumns columns = {temperature_.data(), ones_.data(), zeros_.data(), ones_.data(), zeros_.data(), zeros_.data(),
                                     none_.data(),        none_.data(), none_.data(),  none_.data(), none_.data(),  none_.data(),
                                     none_.data(),        seeds_.data(), seeds_.data(), zeros_.data(), maskIndex_.data(), masks_.data(),
                                     kNumMasks,           kMaskWords};
    const char* fault = executor.find_fault(arrays, columns);
    expect(fault == nullptr, fault);
    float* topLogprobs = floats_.data() + kNumSampled;
    const StepOutputs outputs = {{sampled.data(), nonFinite_.data(), floats_.data(), ids_.data(), topLogprobs}, hidden_.data(), logits.data()};
    executor.start_step(arrays, columns, isGated, outputs, &waiter);
  }

  void clear_masks() { std::fill(masks_.begin(), masks_.end(), 0); }
  /** Each mask leaves one token. */
  void fill_masks() {
    for (int32_t m = 0; m < kNumMasks; m++) masks_[static_cast<size_t>(m * kMaskWords + only_token(m) / 32)] = 1u << only_token(m) % 32;
  }
  bool obeys_masks() const {
    for (int32_t m = 0; m < kNumMasks; m++)
      if (sampled[static_cast<size_t>(2 * m)] != only_token(m) || nonFinite_[static_cast<size_t>(2 * m)] != kSampled) return false;
    return true;
  }

  static constexpr int32_t kNumSampled = kNumTokens / 2;
  std::vector<float> logits;
  std::vector<int32_t> sampled = std::vector<int32_t>(kNumSampled, -1);

 private:
  static constexpr int32_t kNumMasks = (kNumSampled + 1) / 2, kMaskWords = kVocabSize / 32;
  static int32_t only_token(int32_t mask) { return mask * 7 % kVocabSize; }
  static std::vector<int32_t> every_second() {
    std::vector<int32_t> index;
    for (int32_t row = 0; row < kNumSampled; row++) index.push_back(row % 2 == 0 ? row / 2 : -1);
    return index;
  }

  static constexpr size_t kRows = kNumSampled + 1;
  std::vector<int32_t> tokens_, positions_, slots_, outputRows_, blocks_, starts_, lengths_, tableStarts_;
  std::vector<float> hidden_, temperature_ = std::vector<float>(kRows, 1), ones_ = temperature_, zeros_ = std::vector<float>(kRows, 0),
                              floats_ = std::vector<float>(kRows * (1 + kMaxTopLogprobs));
  std::vector<int32_t> none_ = std::vector<int32_t>(kRows, 0), ids_ = std::vector<int32_t>(kRows * kMaxTopLogprobs);
  std::vector<uint32_t> seeds_ = std::vector<uint32_t>(kRows, 7);
  std::vector<uint8_t> nonFinite_ = std::vector<uint8_t>(kRows, 9);
  std::vector<int32_t> maskIndex_ = every_second();
  std::vector<uint32_t> masks_ = std::vector<uint32_t>(static_cast<size_t>(kNumMasks) * kMaskWords, 0);
};

std::unique_ptr<Executor> make_executor(const KernelTable& kernels, int32_t numThreads, Waiter& waiter) {
  auto executor = std::make_unique<Executor>(make_config(numThreads), kernels);
  expect(executor->allocate(nullptr), "no memory");
  pack_weights(*executor, waiter);
  return executor;
}

}  // namespace

static void test_gate(const KernelTable& kernels, const Step& alone) {
  for (int32_t numThreads = 1; numThreads <= 4; numThreads++) {
    Waiter here;
    Step step;
    std::unique_ptr<Executor> executor = make_executor(kernels, numThreads, here);
    const int32_t numBefore = here.count();
    for (int32_t repeat = 0; repeat < 6; repeat++) {
      step.clear_masks();
      step.start(*executor, here, true);
      // Sometimes long enough for all threads to sleep at the gate.
      if (repeat % 2 == 0) usleep(3000);
      expect(here.count() == numBefore + repeat, "a step ended before its gate was open");
      step.fill_masks();
      executor->open_gate();
      here.wait(numBefore + repeat + 1);
      expect(step.obeys_masks() && step.logits == alone.logits && step.sampled == alone.sampled, "a mask was read before it was whole");
    }
    step.clear_masks();
    step.start(*executor, here, true);
    if (numThreads % 2 == 0) usleep(3000);
    executor.reset();
    expect(here.count() == numBefore + 7, "an executor went away before a step that waited at its gate");
  }
}

void test_executor(const KernelTable& kernels) {
  Waiter waiter;
  Step alone;
  alone.fill_masks();
  const std::unique_ptr<Executor> single = make_executor(kernels, 1, waiter);
  const int32_t numPacked = waiter.count();
  alone.start(*single, waiter, false);
  waiter.wait(numPacked + 1);
  expect(alone.obeys_masks(), "a token that the mask forbids");
  test_gate(kernels, alone);
  for (int i = 0; i < 6; i++) {
    Waiter here;
    Step step;
    step.fill_masks();
    std::unique_ptr<Executor> executor = make_executor(kernels, 2 + i % 3, here);
    const int32_t numBefore = here.count();
    for (int32_t repeat = 0; repeat < i % 3; repeat++) {
      step.start(*executor, here, false);
      here.wait(numBefore + 1 + repeat);
    }
    step.start(*executor, here, false);
    executor.reset();
    expect(here.count() == numBefore + 1 + i % 3, "the executor was gone before its step was done");
    expect(step.logits == alone.logits && step.sampled == alone.sampled, "the number of threads shows in the result");
  }
}

}  // namespace inferd::test
