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

/** What of a step's outputs one task makes, and from what. */
struct Cut {
  int32_t panelBegin, panelEnd, tokenBegin, tokenEnd;
  bool hasBias, hasResidual;
};

/** Floats between the rows of x and of out: a kernel may neither read nor write them. */
constexpr int32_t kGap = 3;
constexpr float kUntouched = 12345.0f;

/** A packed matrix of random weights and a step of random activations, each against a guard page. */
class Case {
 public:
  Case(const KernelTable& kernels, Format format, int32_t numRows, int32_t numColumns, int32_t numTokens, Random& random)
      : kernels_(kernels), numTokens_(numTokens), file_(row_bytes(format, numColumns) * static_cast<size_t>(numRows)),
        matrix_({format, numRows, numColumns, panel_bytes(format, static_cast<size_t>(numColumns)), nullptr}),
        panels_(matrix_.panelBytes * static_cast<size_t>(matrix_.numPanels())), x_(strided(numTokens, numColumns)), bias_(static_cast<size_t>(numRows)),
        residual_(strided(numTokens, numRows)), act_(is_quantized(format) ? static_cast<size_t>((numTokens + 7) / 8 * (numColumns / 32)) : 1) {
    fill_file_rows(file_, format, random);
    matrix_.panels = panels_.data();
    const int32_t firstRows = random.below(numRows + 1);
    pack_rows(matrix_, 0, firstRows, file_.data());
    pack_rows(matrix_, firstRows, numRows - firstRows, file_.data() + static_cast<size_t>(firstRows) * row_bytes(format, numColumns));
    fill(x_, random), fill(bias_, random), fill(residual_, random);
    if (is_quantized(format)) kernels.quantizeRows(rows(x_, numColumns), numColumns, 0, numTokens, act_.data());
  }

  void run(const Cut& cut) {
    Guarded<float> out(strided(numTokens_, matrix_.numRows));
    for (size_t i = 0; i < out.count(); i++) out[i] = kUntouched;
    const MatmulTask task = {&matrix_, rows(x_, matrix_.numColumns), act_.data(), rows(out, matrix_.numRows), cut.hasBias ? bias_.data() : nullptr,
                             rows(residual_, matrix_.numRows), cut.hasResidual, cut.panelBegin, cut.panelEnd, cut.tokenBegin, cut.tokenEnd};
    kernels_.matmul[static_cast<int>(matrix_.format)](task);
    Guarded<float> weights(static_cast<size_t>(matrix_.numColumns));
    for (int32_t n = 0; n < matrix_.numRows + kGap; n++) {
      if (n < matrix_.numRows) dequantize_row(matrix_, n, 1.0f, weights.data());
      for (int32_t token = 0; token < numTokens_; token++) {
        const size_t at = static_cast<size_t>(token) * static_cast<size_t>(matrix_.numRows + kGap) + static_cast<size_t>(n);
        const bool isMade = n < matrix_.numRows && n >= cut.panelBegin * kPanelRows && n < cut.panelEnd * kPanelRows && token >= cut.tokenBegin && token < cut.tokenEnd;
        if (isMade) expect_output(out[at], at, n, token, cut, weights);
        else if (at < out.count()) expect(out[at] == kUntouched, "a matmul wrote what was not its to make");
      }
    }
  }

  int32_t num_panels() const { return matrix_.numPanels(); }

 private:
  static size_t row_bytes(Format format, int32_t numColumns) {
    return static_cast<size_t>(numColumns / traits_of(format).blockColumns) * static_cast<size_t>(traits_of(format).blockBytes);
  }
  static size_t strided(int32_t numRows, int32_t width) { return static_cast<size_t>(numRows * (width + kGap) - kGap); }
  static Rows rows(Guarded<float>& buffer, int32_t width) { return {buffer.data(), width + kGap}; }

  void expect_output(float actual, size_t at, int32_t n, int32_t token, const Cut& cut, Guarded<float>& weights) {
    double sum = (cut.hasBias ? static_cast<double>(bias_[static_cast<size_t>(n)]) : 0) + (cut.hasResidual ? static_cast<double>(residual_[at]) : 0), magnitude = 1;
    for (int32_t c = 0; c < matrix_.numColumns; c++) {
      const double term = activation(token, c) * static_cast<double>(weights[static_cast<size_t>(c)]);
      sum += term;
      magnitude += std::abs(term);
    }
    expect_near(static_cast<double>(actual), sum, 1e-5 * magnitude, kernels_.name);
  }

  double activation(int32_t token, int32_t column) {
    if (!is_quantized(matrix_.format)) return static_cast<double>(rows(x_, matrix_.numColumns).row(token)[column]);
    const ActGroup& group = act_[static_cast<size_t>(token / 8 * (matrix_.numColumns / 32) + column / 32)];
    return static_cast<double>(group.d[token % 8]) * group.q[token % 8][column % 32];
  }

  const KernelTable& kernels_;
  int32_t numTokens_;
  Guarded<uint8_t> file_;
  PackedMatrix matrix_;
  Guarded<uint8_t> panels_;
  Guarded<float> x_, bias_, residual_;
  Guarded<ActGroup> act_;
};

/** Widths of one block and less than one register, of some blocks, and of more than one run of columns. */
void test_format(const KernelTable& kernels, Format format, Random& random) {
  const int32_t block = traits_of(format).blockColumns;
  const int32_t widths[] = {block, block == 1 ? 19 : block == 32 ? 96 : 512, block == 1 ? 270 : block == 32 ? 288 : 256};
  const int32_t rows[] = {1, 16, 37}, tokens[] = {1, 2, 5, 8, 19};
  for (int32_t i = 0; i < 15; i++) {
    Case matmul(kernels, format, rows[(i + i / 3) % 3], widths[i % 3], tokens[i % 5], random);
    matmul.run({0, matmul.num_panels(), 0, tokens[i % 5], random.below(2) == 0, random.below(2) == 0});
  }
  // Tokens that begin and end inside a tile of eight, panels in pairs and alone.
  Case whole(kernels, format, 71, block == 256 ? 256 : 32, 27, random);
  for (const int32_t tokenBegin : {0, 3, 8})
    for (const int32_t tokenEnd : {16, 23}) whole.run({tokenBegin % 4, 4 + tokenEnd % 2, tokenBegin, tokenEnd, tokenEnd != 23, tokenBegin != 8});
}

}  // namespace

void test_matmul(const KernelTable& kernels) {
  Random random(7);
  for (int f = 0; f < static_cast<int>(Format::count); f++) test_format(kernels, static_cast<Format>(f), random);
}

}  // namespace inferd::test
