// Cache writes and attention against plain double arithmetic, over block sizes, head widths, windows and both cache types.
// No shape has more than kAttentionRows query rows: the executor cuts them.
#include <cmath>
#include <initializer_list>
#include <vector>

#include "guarded.h"
#include "half.h"
#include "kernel_table.h"
#include "suites.h"

namespace inferd::test {
namespace {

struct Shape {
  int32_t blockSize, keyTile, numHeads, numKvHeads, headDim, context, numNew, window;
  bool isF16;
  float softcap = 0;
};

void test_shape(const KernelTable& kernels, const Shape& s, Random& random) {
  const int32_t padded = (s.headDim + 15) / 16 * 16, elementBytes = s.isF16 ? 2 : 4;
  const int64_t blockBytes = static_cast<int64_t>(s.numKvHeads) * s.blockSize * (s.headDim + padded) * elementBytes;
  const int32_t numBlocks = (s.context + s.blockSize - 1) / s.blockSize;
  Guarded<uint8_t> cache(static_cast<size_t>(blockBytes * numBlocks));
  std::memset(cache.data(), 0xff, cache.count());
  const KvLayer kv = {cache.data(), blockBytes, s.blockSize, s.keyTile, s.numKvHeads, s.headDim, padded, s.isF16};
  const size_t context = static_cast<size_t>(s.context), kvWidth = static_cast<size_t>(s.numKvHeads * s.headDim), qWidth = static_cast<size_t>(s.numHeads * s.headDim);
  Guarded<float> k(context * kvWidth), v(context * kvWidth), q(static_cast<size_t>(s.numNew) * qWidth), out(static_cast<size_t>(s.numNew) * qWidth);
  fill(k, random), fill(v, random), fill(q, random);
  Guarded<int32_t> table(static_cast<size_t>(numBlocks)), slots(context);
  for (int32_t b = 0; b < numBlocks; b++) table[static_cast<size_t>(b)] = numBlocks - 1 - b;
  for (int32_t p = 0; p < s.context; p++) slots[static_cast<size_t>(p)] = table[static_cast<size_t>(p / s.blockSize)] * s.blockSize + p % s.blockSize;
  const int64_t stride = static_cast<int64_t>(kvWidth);
  kernels.kvWrite(kv, {k.data(), stride}, {v.data(), stride}, slots.data(), 0, s.context);

  Guarded<float> scratch(static_cast<size_t>((attention_scratch_floats(padded) + 15) / 16 * 16));
  const float scale = 1.0f / std::sqrt(static_cast<float>(s.headDim));
  const int32_t firstPosition = s.context - s.numNew;
  for (int32_t head = 0; head < s.numKvHeads; head++) {
    const AttentionTask task = {kv, {q.data(), static_cast<int64_t>(qWidth)}, {out.data(), static_cast<int64_t>(qWidth)}, s.numHeads, head, 0, s.numNew, firstPosition,
                                table.data(), scale, s.softcap, s.window, scratch.data()};
    kernels.attention(task);
  }
  const auto stored = [&](float value) { return static_cast<double>(s.isF16 ? f16_to_f32(f32_to_f16(value)) : value); };
  for (int32_t row = 0; row < s.numNew * s.numHeads; row++) {
    const int32_t token = row / s.numHeads, head = row % s.numHeads, kvHead = head * s.numKvHeads / s.numHeads, position = firstPosition + token;
    const int32_t first = s.window > 0 && position - s.window + 1 > 0 ? position - s.window + 1 : 0;
    const auto at = [&](int32_t p, int32_t i) { return static_cast<size_t>(p) * kvWidth + static_cast<size_t>(kvHead * s.headDim + i); };
    std::vector<double> weights(static_cast<size_t>(position + 1));
    double total = 0;
    for (int32_t p = first; p <= position; p++) {
      double score = 0;
      for (int32_t i = 0; i < s.headDim; i++) score += static_cast<double>(q[static_cast<size_t>(row * s.headDim + i)]) * stored(k[at(p, i)]);
      score *= static_cast<double>(scale);
      if (s.softcap > 0) score = static_cast<double>(s.softcap) * std::tanh(score / static_cast<double>(s.softcap));
      weights[static_cast<size_t>(p)] = std::exp(score);
      total += weights[static_cast<size_t>(p)];
    }
    for (int32_t i = 0; i < s.headDim; i++) {
      double sum = 0;
      for (int32_t p = first; p <= position; p++) sum += weights[static_cast<size_t>(p)] * stored(v[at(p, i)]);
      expect_near(static_cast<double>(out[static_cast<size_t>(row * s.headDim + i)]), sum / total, 1e-5, kernels.name);
    }
  }
}

/** A key that is no number makes its head's outputs so from its position on, and no others. */
void test_not_a_number(const KernelTable& kernels, Random& random) {
  constexpr int32_t kContext = 70, kHeadDim = 20, kPadded = 32, kNumKvHeads = 2, kPoisoned = 66, kWidth = kNumKvHeads * kHeadDim, kBlocks = 5;
  const int64_t blockBytes = kNumKvHeads * 16 * (kHeadDim + kPadded) * 4;
  Guarded<uint8_t> cache(static_cast<size_t>(blockBytes * kBlocks));
  const KvLayer kv = {cache.data(), blockBytes, 16, 16, kNumKvHeads, kHeadDim, kPadded, false};
  Guarded<float> k(kContext * kWidth), v(kContext * kWidth), q(kContext * kWidth), out(kContext * kWidth);
  fill(k, random), fill(v, random), fill(q, random);
  k[kPoisoned * kWidth + kHeadDim + 3] = NAN;
  Guarded<int32_t> table(kBlocks), slots(kContext);
  for (int32_t b = 0; b < kBlocks; b++) table[static_cast<size_t>(b)] = b;
  for (int32_t p = 0; p < kContext; p++) slots[static_cast<size_t>(p)] = p;
  kernels.kvWrite(kv, {k.data(), kWidth}, {v.data(), kWidth}, slots.data(), 0, kContext);
  Guarded<float> scratch(static_cast<size_t>((attention_scratch_floats(kPadded) + 15) / 16 * 16));
  for (int32_t head = 0; head < kNumKvHeads; head++) {
    for (int32_t first = 0; first < kContext; first += 35) {
      const AttentionTask task = {kv, {q.data(), kWidth}, {out.data(), kWidth}, kNumKvHeads, head, first, first + 35, first, table.data(), 0.3f, 0.0f, 0, scratch.data()};
      kernels.attention(task);
    }
  }
  for (int32_t token = 0; token < kContext; token++)
    for (int32_t i = 0; i < kWidth; i++) {
      const bool isPoisoned = token >= kPoisoned && i >= kHeadDim;
      expect(std::isnan(out[static_cast<size_t>(token * kWidth + i)]) == isPoisoned, "attention loses a NaN");
    }
}

}  // namespace

void test_attention(const KernelTable& kernels) {
  Random random(11);
  const Shape shapes[] = {
      {16, 16, 4, 2, 64, 150, 3, 0, false}, {16, 16, 8, 1, 20, 67, 8, 0, true},  {32, 16, 2, 2, 16, 64, 64, 0, false}, {4, 4, 3, 1, 80, 131, 5, 0, true},
      {24, 8, 6, 3, 8, 77, 2, 0, false},    {10, 2, 4, 4, 12, 33, 33, 5, false}, {16, 16, 4, 1, 128, 200, 4, 17, true}, {1, 1, 1, 1, 4, 3, 1, 1, false},
      {16, 16, 6, 2, 33, 129, 7, 0, true, 0.5f}, {8, 8, 5, 5, 48, 90, 9, 70, false, 2.0f}, {16, 16, 3, 1, 7, 65, 1, 64, false},  {16, 16, 2, 1, 256, 16, 16, 0, true},
  };
  for (const Shape& shape : shapes) test_shape(kernels, shape, random);
  test_not_a_number(kernels, random);
}

}  // namespace inferd::test
