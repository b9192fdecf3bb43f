// Row kernels on widths that fill no register and rows with gaps between them, against plain double arithmetic.
#include <cmath>
#include <initializer_list>
#include <vector>

#include "guarded.h"
#include "half.h"
#include "kernel_table.h"
#include "suites.h"

namespace inferd::test {
namespace {

constexpr int32_t kNumRows = 3;
/** Floats between two rows: a kernel may neither read nor write them. */
constexpr int32_t kGap = 5;

/** (kNumRows, width) random floats with gaps between the rows and a guard page behind the last. */
struct Matrix {
  int32_t width;
  Guarded<float> floats;

  Matrix(int32_t columns, Random& random) : width(columns), floats(static_cast<size_t>(kNumRows * (columns + kGap) - kGap)) { fill(floats, random); }
  Rows rows() { return {floats.data(), width + kGap}; }
  double at(int32_t row, int32_t column) { return static_cast<double>(rows().row(row)[column]); }
};

/** Checks rows 1 and 2 of out (row 0 is not asked for) against `expected`, and that nothing else of it changed. */
template <typename EXPECTED> void expect_rows(Matrix& out, const std::vector<float>& before, double tolerance, const char* what, EXPECTED expected) {
  for (int32_t row = 1; row < kNumRows; row++)
    for (int32_t i = 0; i < out.width; i++) expect_near(out.at(row, i), expected(row, i), tolerance, what);
  for (size_t i = 0; i < before.size(); i++) {
    const size_t stride = static_cast<size_t>(out.width + kGap);
    if (i < stride || i % stride >= static_cast<size_t>(out.width)) expect(out.floats[i] == before[i], what);
  }
}

std::vector<float> copy_of(Matrix& m) { return {m.floats.data(), m.floats.data() + m.floats.count()}; }

void test_width(const KernelTable& kernels, int32_t width, Random& random) {
  Matrix a(width, random), b(width, random), out(width, random), sum(width, random), capped(width, random);
  std::vector<float> before = copy_of(out);
  kernels.addRows(a.rows(), b.rows(), out.rows(), width, 1, kNumRows);
  expect_rows(out, before, 0, "add", [&](int32_t row, int32_t i) { return static_cast<double>(static_cast<float>(a.at(row, i)) + static_cast<float>(b.at(row, i))); });
  before = copy_of(sum);
  kernels.addRows(a.rows(), sum.rows(), sum.rows(), width, 1, kNumRows);
  const size_t stride = static_cast<size_t>(width + kGap);
  const auto old = [&](int32_t row, int32_t i) { return static_cast<double>(before[static_cast<size_t>(row) * stride + static_cast<size_t>(i)]); };
  expect_rows(sum, before, 1e-6, "add in place", [&](int32_t row, int32_t i) { return a.at(row, i) + old(row, i); });
  for (const bool isGelu : {false, true}) {
    before = copy_of(out);
    kernels.gatedActivation(a.rows(), b.rows(), out.rows(), width, isGelu, 1, kNumRows);
    expect_rows(out, before, 1e-6, "gated activation", [&](int32_t row, int32_t i) {
      const double g = a.at(row, i);
      const double activated = isGelu ? 0.5 * g * (1 + std::tanh(0.7978845608028654 * (g + 0.044715 * g * g * g))) : g / (1 + std::exp(-g));
      return activated * b.at(row, i);
    });
  }
  for (size_t i = 0; i < capped.floats.count(); i++) capped.floats[i] *= 8;
  before = copy_of(capped);
  kernels.softcapRows(capped.rows(), width, 1.5f, 1, kNumRows);
  expect_rows(capped, before, 1e-6, "softcap", [&](int32_t row, int32_t i) { return 1.5 * std::tanh(old(row, i) / 1.5); });
}

void test_rms_norm(const KernelTable& kernels, int32_t groupWidth, int32_t numGroups, bool inPlace, Random& random) {
  const int32_t width = groupWidth * numGroups;
  Matrix x(width, random), fresh(width, random);
  Guarded<float> weight(static_cast<size_t>(groupWidth));
  fill(weight, random);
  Matrix& out = inPlace ? x : fresh;
  const std::vector<float> from = copy_of(x), before = copy_of(out);
  kernels.rmsNorm(x.rows(), out.rows(), width, groupWidth, 1e-5f, weight.data(), 1, kNumRows);
  expect_rows(out, before, 1e-5, "rms norm", [&](int32_t row, int32_t column) {
    const float* values = from.data() + row * (width + kGap);
    double sum = 0;
    for (int32_t i = 0; i < groupWidth; i++) {
      const double value = static_cast<double>(values[column / groupWidth * groupWidth + i]);
      sum += value * value;
    }
    return static_cast<double>(values[column]) / std::sqrt(sum / groupWidth + 1e-5) * static_cast<double>(weight[static_cast<size_t>(column % groupWidth)]);
  });
}

/** What is no number must reach the logits, where it is reported: no minimum, maximum or comparison may lose it. */
void test_not_a_number(const KernelTable& kernels, Random& random) {
  constexpr int32_t kWidth = 37, kAt = 34;
  Guarded<float> weight(kWidth);
  fill(weight, random);
  const auto expect_nan = [](Matrix& m, bool isWholeRow, const char* what) {
    for (int32_t i = 0; i < kWidth; i++) expect(std::isnan(m.at(0, i)) == (isWholeRow || i == kAt), what);
  };
  Matrix a(kWidth, random), b(kWidth, random), out(kWidth, random);
  a.rows().row(0)[kAt] = NAN;
  kernels.addRows(b.rows(), a.rows(), out.rows(), kWidth, 0, 1), expect_nan(out, false, "add loses a NaN");
  for (const bool isGelu : {false, true}) {
    kernels.gatedActivation(a.rows(), b.rows(), out.rows(), kWidth, isGelu, 0, 1), expect_nan(out, false, "gated activation loses a NaN");
    kernels.gatedActivation(b.rows(), a.rows(), out.rows(), kWidth, isGelu, 0, 1), expect_nan(out, false, "gated activation loses a NaN");
  }
  kernels.rmsNorm(a.rows(), out.rows(), kWidth, kWidth, 1e-5f, weight.data(), 0, 1), expect_nan(out, true, "rms norm loses a NaN");
  kernels.softcapRows(a.rows(), kWidth, 2.0f, 0, 1), expect_nan(a, false, "softcap loses a NaN");
}

/** Bit by bit, over more rows than a tile has; groups of zeros, of the smallest and largest numbers, and of what is no number. */
void test_quantize(const KernelTable& kernels, Random& random) {
  constexpr int32_t kRows = 11, kGroups = 3, kWidth = kGroups * kGroupColumns, kStride = kWidth + kGap;
  Guarded<float> x(kRows * kStride - kGap);
  Guarded<ActGroup> act((kRows + 7) / 8 * kGroups);
  fill(x, random);
  const float magnitudes[kRows] = {1, 0, 1e-38f, 1e-7f, 3e38f, 100, 1, 1, 1, 1e-3f, 1};
  for (int32_t row = 0; row < kRows; row++)
    for (int32_t i = 0; i < kWidth; i++) x[static_cast<size_t>(row * kStride + i)] *= magnitudes[row];
  x[6 * kStride + 5] = INFINITY, x[7 * kStride + 40] = -INFINITY, x[8 * kStride + 95] = NAN;
  kernels.quantizeRows({x.data(), kStride}, kWidth, 0, kRows, act.data());
  for (int32_t row = 0; row < kRows; row++)
    for (int32_t g = 0; g < kGroups; g++) {
      const float* values = x.data() + row * kStride + g * kGroupColumns;
      const ActGroup& group = act[static_cast<size_t>(row / 8 * kGroups + g)];
      const int32_t lane = row % 8;
      float amax = 0;
      bool isFinite = true;
      for (int32_t i = 0; i < kGroupColumns; i++) isFinite = isFinite && std::isfinite(values[i]), amax = std::fmax(amax, std::fabs(values[i]));
      const float d = f16_to_f32(f32_to_f16(amax / 127.0f));
      if (isFinite) expect_near(static_cast<double>(group.d[lane]), static_cast<double>(d), 0, "scale of an activation");
      else expect(std::isnan(group.d[lane]), "a group that is not finite has a scale");
      int32_t sums[2] = {0, 0};
      for (int32_t i = 0; i < kGroupColumns; i++) {
        const float want = isFinite && d != 0 ? std::fmin(127.0f, std::fmax(-127.0f, std::nearbyint(values[i] * (127.0f / amax)))) : 0;
        expect_near(group.q[lane][i], static_cast<double>(want), 0, "quantized activation");
        sums[i / 16] += group.q[lane][i];
      }
      for (int32_t half = 0; half < 2; half++)
        expect(group.negHalf[half][lane] == -sums[half] && group.half[half][lane] == static_cast<float>(sums[half]), "sum of half an activation group");
      expect(group.negSum[lane] == -sums[0] - sums[1] && group.sum[lane] == static_cast<float>(sums[0] + sums[1]), "sum of an activation group");
    }
}

void test_rope(const KernelTable& kernels, int32_t headDim, int32_t rotaryDim, bool interleaved, Random& random) {
  const int32_t width = headDim * 3, numPairs = rotaryDim / 2;
  Guarded<float> x(static_cast<size_t>(width * kNumRows)), cosSin(static_cast<size_t>(rotaryDim * kNumRows));
  fill(x, random), fill(cosSin, random);
  const std::vector<float> before(x.data(), x.data() + x.count());
  kernels.rope({x.data(), width}, width, headDim, rotaryDim, interleaved, cosSin.data(), 0, kNumRows);
  for (int32_t at = 0; at < width * kNumRows; at += headDim) {
    const float* table = cosSin.data() + at / width * rotaryDim;
    for (int32_t i = 0; i < numPairs; i++) {
      const size_t first = static_cast<size_t>(interleaved ? at + 2 * i : at + i), second = static_cast<size_t>(interleaved ? at + 2 * i + 1 : at + i + numPairs);
      expect_near(static_cast<double>(x[first]), static_cast<double>(before[first] * table[i] - before[second] * table[numPairs + i]), 1e-6, "rope");
      expect_near(static_cast<double>(x[second]), static_cast<double>(before[first] * table[numPairs + i] + before[second] * table[i]), 1e-6, "rope");
    }
  }
}

}  // namespace

void test_rows(const KernelTable& kernels) {
  Random random(13);
  for (const int32_t width : {1, 15, 16, 33, 64, 100}) test_width(kernels, width, random);
  for (const bool inPlace : {false, true})
    for (const int32_t groupWidth : {1, 16, 20, 47, 128}) test_rms_norm(kernels, groupWidth, 1 + random.below(3), inPlace, random);
  test_quantize(kernels, random);
  test_not_a_number(kernels, random);
  for (const bool interleaved : {false, true})
    for (const int32_t rotaryDim : {2, 12, 32, 40}) test_rope(kernels, 40, rotaryDim, interleaved, random);
}

}  // namespace inferd::test
