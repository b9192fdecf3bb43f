// Packing, matmul, activation quantization and row look-up of every format against plain double arithmetic.
#include <cmath>
#include <initializer_list>

#include "guarded.h"
#include "half.h"
#include "kernel_table.h"
#include "pack/pack_rows.h"
#include "suites.h"

namespace inferd::test {
namespace {

/** File rows of random codes with scales that keep values near 1. */
void fill_file_rows(Guarded<uint8_t>& bytes, Format format, Random& random) {
  const size_t block = static_cast<size_t>(traits_of(format).blockBytes);
  for (size_t start = 0; start < bytes.count(); start += block) {
    for (size_t i = 0; i < block; i++) bytes[start + i] = static_cast<uint8_t>(random.next());
    const auto put = [&](size_t at) {
      const uint16_t half = f32_to_f16(0.002f + 0.001f * random.unit());
      std::memcpy(&bytes[start + at], &half, 2);
    };
    switch (format) {
      case Format::f32: {
        const float value = random.unit();
        std::memcpy(&bytes[start], &value, 4);
        break;
      }
      case Format::f16:
      case Format::bf16: {
        const uint16_t half = format == Format::f16 ? f32_to_f16(random.unit()) : static_cast<uint16_t>(f32_to_bits(random.unit()) >> 16);
        std::memcpy(&bytes[start], &half, 2);
        break;
      }
      case Format::mxfp4: bytes[start] = 120; break;
      case Format::q2_k: put(80), put(82); break;
      case Format::q3_k: put(108); break;
      case Format::q6_k: put(208); break;
      case Format::q4_1:
      case Format::q5_1:
      case Format::q4_k:
      case Format::q5_k: put(0), put(2); break;
      default: put(0); break;
    }
  }
}

void test_shape(const KernelTable& kernels, Format format, int32_t numRows, int32_t numColumns, int32_t numTokens, Random& random) {
  const FormatTraits& t = traits_of(format);
  const size_t rowBytes = static_cast<size_t>(numColumns / t.blockColumns) * static_cast<size_t>(t.blockBytes);
  Guarded<uint8_t> file(rowBytes * static_cast<size_t>(numRows));
  fill_file_rows(file, format, random);
  PackedMatrix m = {format, numRows, numColumns, panel_bytes(format, static_cast<size_t>(numColumns)), nullptr};
  Guarded<uint8_t> panels(m.panelBytes * static_cast<size_t>(m.numPanels()));
  m.panels = panels.data();
  const int32_t firstRows = random.below(numRows + 1);
  pack_rows(m, 0, firstRows, file.data());
  pack_rows(m, firstRows, numRows - firstRows, file.data() + static_cast<size_t>(firstRows) * rowBytes);

  const size_t tokens = static_cast<size_t>(numTokens), columns = static_cast<size_t>(numColumns), rows = static_cast<size_t>(numRows);
  Guarded<float> x(tokens * columns), out(tokens * rows), bias(rows), residual(tokens * rows), row(columns);
  fill(x, random), fill(bias, random), fill(residual, random);
  Guarded<ActGroup> act(is_quantized(format) ? (tokens + 7) / 8 * (columns / 32) : 1);
  if (is_quantized(format)) kernels.quantizeRows({x.data(), numColumns}, numColumns, 0, numTokens, act.data());
  MatmulTask task = {&m, {x.data(), numColumns}, act.data(), {out.data(), numRows}, bias.data(), {residual.data(), numRows}, true, 0, m.numPanels(), 0, numTokens};
  kernels.matmul[static_cast<int>(format)](task);
  for (int32_t n = 0; n < numRows; n++) {
    dequantize_row(m, n, 1.0f, row.data());
    for (size_t token = 0; token < tokens; token++) {
      double sum = static_cast<double>(bias[static_cast<size_t>(n)]) + static_cast<double>(residual[token * rows + static_cast<size_t>(n)]), magnitude = 1;
      for (size_t c = 0; c < columns; c++) {
        double value = x[token * columns + c];
        if (is_quantized(format)) {
          const ActGroup& group = act[token / 8 * (columns / 32) + c / 32];
          value = static_cast<double>(group.d[token % 8]) * group.q[token % 8][c % 32];
        }
        sum += value * static_cast<double>(row[c]);
        magnitude += std::abs(value * static_cast<double>(row[c]));
      }
      expect_near(static_cast<double>(out[token * rows + static_cast<size_t>(n)]), sum, 1e-5 * magnitude, kernels.name);
    }
  }
}

}  // namespace

void test_matmul(const KernelTable& kernels) {
  Random random(7);
  for (int f = 0; f < static_cast<int>(Format::count); f++) {
    const Format format = static_cast<Format>(f);
    const int32_t block = traits_of(format).blockColumns;
    const int32_t columns[] = {block == 1 ? 1 + random.below(40) : block, block == 256 ? 512 : 288};
    for (const int32_t numColumns : columns)
      for (const int32_t numTokens : {1, 7, 19}) test_shape(kernels, format, 1 + random.below(40), numColumns, numTokens, random);
  }
}

}  // namespace inferd::test
