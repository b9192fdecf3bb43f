// Row kernels on widths that fill no register, against plain double arithmetic.
#include <cmath>
#include <initializer_list>
#include <vector>

#include "guarded.h"
#include "kernel_table.h"
#include "suites.h"

namespace inferd::test {
namespace {

constexpr int32_t kNumRows = 3;

void test_width(const KernelTable& kernels, int32_t width, Random& random) {
  const size_t w = static_cast<size_t>(width), count = w * kNumRows;
  Guarded<float> a(count), b(count), out(count), weight(w);
  fill(a, random), fill(b, random), fill(weight, random);
  const Rows x = {a.data(), width}, y = {b.data(), width}, z = {out.data(), width};
  kernels.addRows(x, y, z, width, 0, kNumRows);
  for (size_t i = 0; i < count; i++) expect_near(static_cast<double>(out[i]), static_cast<double>(a[i] + b[i]), 0, "add");
  for (const bool isGelu : {false, true}) {
    kernels.gatedActivation(x, y, z, width, isGelu, 0, kNumRows);
    for (size_t i = 0; i < count; i++) {
      const double g = static_cast<double>(a[i]);
      const double activated = isGelu ? 0.5 * g * (1 + std::tanh(0.7978845608028654 * (g + 0.044715 * g * g * g))) : g / (1 + std::exp(-g));
      expect_near(static_cast<double>(out[i]), activated * static_cast<double>(b[i]), 1e-6, "gated activation");
    }
  }
  kernels.rmsNorm(x, z, width, width, 1e-5f, weight.data(), 0, kNumRows);
  for (size_t row = 0; row < kNumRows; row++) {
    double sum = 0;
    for (size_t i = 0; i < w; i++) sum += static_cast<double>(a[row * w + i]) * static_cast<double>(a[row * w + i]);
    const double factor = 1 / std::sqrt(sum / width + 1e-5);
    for (size_t i = 0; i < w; i++) {
      const double normed = static_cast<double>(a[row * w + i]) * factor * static_cast<double>(weight[i]);
      expect_near(static_cast<double>(out[row * w + i]), normed, 1e-5, "rms norm");
    }
  }
  kernels.softcapRows(z, width, 1.5f, 0, kNumRows);
  for (size_t i = 0; i < count; i++) expect(std::abs(out[i]) <= 1.5f, "softcap");
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
  for (const int32_t width : {1, 15, 16, 33, 100}) test_width(kernels, width, random);
  for (const bool interleaved : {false, true})
    for (const int32_t rotaryDim : {2, 12, 40}) test_rope(kernels, 40, rotaryDim, interleaved, random);
}

}  // namespace inferd::test
