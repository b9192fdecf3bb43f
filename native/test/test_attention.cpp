// Cache writes and attention against plain double arithmetic, over block sizes, head widths, windows and cache types; and attention span by span
// against attention at once, bit for bit.
// No shape has more than kAttentionRows query rows: the executor cuts them.
#include <algorithm>
#include <cmath>
#include <cstring>
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
  KvType type;
  float softcap = 0;
};

/** What a q8_0 cache keeps of a row of one head: value i is a byte times its group's scale. */
void round_row(std::vector<double>& row) {
  for (size_t start = 0; start < row.size(); start += kKvGroup) {
    const size_t end = std::min(row.size(), start + kKvGroup);
    float largest = 0;
    for (size_t i = start; i < end; i++) largest = std::max(largest, std::fabs(static_cast<float>(row[i])));
    uint16_t scale = f32_to_f16(largest / 127.0f);
    if (f16_to_f32(scale) * 127.0f < largest) scale++;
    const float step = f16_to_f32(scale), inverse = step > 0 ? 1.0f / step : 0.0f;
    for (size_t i = start; i < end; i++) row[i] = static_cast<double>(std::nearbyint(static_cast<float>(row[i]) * inverse) * step);
  }
}

/** Keys or values as the cache keeps them: (context, kvWidth). */
std::vector<double> stored_rows(Guarded<float>& rows, const Shape& s) {
  std::vector<double> stored(rows.count());
  for (size_t start = 0; start < stored.size(); start += static_cast<size_t>(s.headDim)) {
    std::vector<double> row;
    for (int32_t i = 0; i < s.headDim; i++) {
      const float value = rows[start + static_cast<size_t>(i)];
      row.push_back(static_cast<double>(s.type == KvType::f16 ? f16_to_f32(f32_to_f16(value)) : value));
    }
    if (s.type == KvType::q8_0) round_row(row);
    std::copy(row.begin(), row.end(), stored.begin() + static_cast<int64_t>(start));
  }
  return stored;
}

/** The spans one by one, last first, then added up. */
void attend_by_spans(const KernelTable& kernels, AttentionTask task) {
  const int32_t first = task.window > 0 && task.firstPosition >= task.window ? task.firstPosition - task.window + 1 : 0;
  const int32_t begin = first / kAttentionSpan, end = (task.firstPosition + task.tokenEnd - task.tokenBegin + kAttentionSpan - 1) / kAttentionSpan;
  const int64_t floats = attention_state_floats(task.num_rows(), task.kv.headDimPadded);
  Guarded<float> states(static_cast<size_t>(floats * (end - begin)));
  for (int32_t span = end - 1; span >= begin; span--) {
    task.spanBegin = span, task.spanEnd = span + 1, task.spanStates = states.data() + (span - begin) * floats;
    kernels.attention(task);
  }
  task.spanBegin = begin, task.spanEnd = end, task.spanStates = states.data();
  kernels.mergeSpans(task);
}

void test_shape(const KernelTable& kernels, const Shape& s, Random& random) {
  const int32_t padded = (s.headDim + 15) / 16 * 16;
  const int64_t headBytes = kv_head_bytes(s.type, s.blockSize, s.headDim, padded), blockBytes = s.numKvHeads * headBytes;
  const int32_t numBlocks = (s.context + s.blockSize - 1) / s.blockSize;
  Guarded<uint8_t> cache(static_cast<size_t>(blockBytes * numBlocks));
  std::memset(cache.data(), 0xff, cache.count());
  const KvLayer kv = {cache.data(), blockBytes, headBytes, s.blockSize, s.keyTile, s.numKvHeads, s.headDim, padded, s.type};
  const size_t context = static_cast<size_t>(s.context), kvWidth = static_cast<size_t>(s.numKvHeads * s.headDim), qWidth = static_cast<size_t>(s.numHeads * s.headDim);
  Guarded<float> k(context * kvWidth), v(context * kvWidth), q(static_cast<size_t>(s.numNew) * qWidth), out(static_cast<size_t>(s.numNew) * qWidth), bySpans(out.count());
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
    AttentionTask task = {kv, {q.data(), static_cast<int64_t>(qWidth)}, {out.data(), static_cast<int64_t>(qWidth)}, s.numHeads, head, 0, s.numNew, firstPosition,
                          table.data(), scale, s.softcap, s.window, 0, 0, nullptr, scratch.data()};
    kernels.attention(task);
    task.out.data = bySpans.data();
    attend_by_spans(kernels, task);
  }
  expect(std::memcmp(out.data(), bySpans.data(), out.count() * sizeof(float)) == 0, "spans on their own give other bits");
  const std::vector<double> keys = stored_rows(k, s), values = stored_rows(v, s);
  for (int32_t row = 0; row < s.numNew * s.numHeads; row++) {
    const int32_t token = row / s.numHeads, head = row % s.numHeads, kvHead = head * s.numKvHeads / s.numHeads, position = firstPosition + token;
    const int32_t first = s.window > 0 && position - s.window + 1 > 0 ? position - s.window + 1 : 0;
    const auto at = [&](int32_t p, int32_t i) { return static_cast<size_t>(p) * kvWidth + static_cast<size_t>(kvHead * s.headDim + i); };
    std::vector<double> weights(static_cast<size_t>(position + 1));
    double total = 0;
    for (int32_t p = first; p <= position; p++) {
      double score = 0;
      for (int32_t i = 0; i < s.headDim; i++) score += static_cast<double>(q[static_cast<size_t>(row * s.headDim + i)]) * keys[at(p, i)];
      score *= static_cast<double>(scale);
      if (s.softcap > 0) score = static_cast<double>(s.softcap) * std::tanh(score / static_cast<double>(s.softcap));
      weights[static_cast<size_t>(p)] = std::exp(score);
      total += weights[static_cast<size_t>(p)];
    }
    for (int32_t i = 0; i < s.headDim; i++) {
      double sum = 0;
      for (int32_t p = first; p <= position; p++) sum += weights[static_cast<size_t>(p)] * values[at(p, i)];
      expect_near(static_cast<double>(out[static_cast<size_t>(row * s.headDim + i)]), sum / total, 1e-5, kernels.name);
    }
  }
}

/** A key that is no number makes its head's outputs so from its position on, and no others. */
void test_not_a_number(const KernelTable& kernels, KvType type, Random& random) {
  constexpr int32_t kContext = 70, kHeadDim = 20, kPadded = 32, kNumKvHeads = 2, kPoisoned = 66, kWidth = kNumKvHeads * kHeadDim, kBlocks = 5;
  const int64_t headBytes = kv_head_bytes(type, 16, kHeadDim, kPadded), blockBytes = kNumKvHeads * headBytes;
  Guarded<uint8_t> cache(static_cast<size_t>(blockBytes * kBlocks));
  const KvLayer kv = {cache.data(), blockBytes, headBytes, 16, 16, kNumKvHeads, kHeadDim, kPadded, type};
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
      const AttentionTask task = {kv, {q.data(), kWidth}, {out.data(), kWidth}, kNumKvHeads, head, first, first + 35, first,
                                  table.data(), 0.3f, 0.0f, 0, 0, 0, nullptr, scratch.data()};
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
      {16, 16, 4, 2, 64, 150, 3, 0, KvType::f32}, {16, 16, 8, 1, 20, 67, 8, 0, KvType::f16}, {32, 16, 2, 2, 16, 64, 64, 0, KvType::f32},
      {4, 4, 3, 1, 80, 131, 5, 0, KvType::f16}, {24, 8, 6, 3, 8, 77, 2, 0, KvType::f32}, {10, 2, 4, 4, 12, 33, 33, 5, KvType::f32},
      {16, 16, 4, 1, 128, 200, 4, 17, KvType::f16}, {1, 1, 1, 1, 4, 3, 1, 1, KvType::f32}, {16, 16, 6, 2, 33, 129, 7, 0, KvType::f16, 0.5f},
      {8, 8, 5, 5, 48, 90, 9, 70, KvType::f32, 2.0f}, {16, 16, 3, 1, 7, 65, 1, 64, KvType::f32}, {16, 16, 2, 1, 256, 16, 16, 0, KvType::f16},
      {16, 16, 8, 1, 64, 1100, 3, 0, KvType::f16}, {16, 16, 8, 1, 64, 1030, 1, 0, KvType::f16}, {16, 16, 2, 1, 32, 1100, 20, 600, KvType::f32},
      {16, 16, 8, 2, 64, 1025, 2, 0, KvType::q8_0}, {32, 16, 16, 1, 80, 130, 4, 0, KvType::q8_0}, {12, 4, 3, 1, 40, 90, 7, 0, KvType::q8_0},
      {3, 1, 1, 1, 5, 20, 3, 0, KvType::q8_0}, {16, 16, 1, 1, 128, 515, 20, 3, KvType::q8_0}, {16, 16, 1, 1, 16, 530, 64, 0, KvType::f16},
  };
  for (const Shape& shape : shapes) test_shape(kernels, shape, random);
  for (const KvType type : {KvType::f32, KvType::f16, KvType::q8_0}) test_not_a_number(kernels, type, random);
}

}  // namespace inferd::test
