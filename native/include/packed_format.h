// How a weight matrix lies in memory for the kernels. Rows are packed in panels of sixteen; inside a panel columns
// advance together, so that one register holds the same columns of sixteen rows. One layout serves every ISA.
//
//   float panel      column 0: 16 values | column 1: 16 values | ...                 (f32, f16 or bf16 as in the file)
//   quantized panel  payload of group 0 | group 1 | ... | scales of group 0 | group 1 | ...
//
// A group is 32 columns. Its payload is a plane of low nibbles, 256 bytes: register j (64 bytes, 4 per row) holds the
// columns 4j..4j+3 in the low and 4j+16..4j+19 in the high nibbles. 5-bit formats add a plane of 64 bytes whose bit j
// belongs to quad j; 6-bit formats add 128 bytes, two bits per quad, four quads per register. 8-bit formats are one
// plane of 512 bytes. Plain scales are 16 f16 (or bf16) per group, then 16 f16 minimums where the format has them.
// K formats store per 256 columns: 16 f16 d, [16 f16 dmin], then per group its 8-bit sub-scales [and sub-minimums],
// twice where sub-groups are 16 columns wide. Products of the two are exact in f32, as the format defines them.
#pragma once
#include <cstddef>
#include <cstdint>

namespace inferd {

enum class Format : int32_t { f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q2_k, q3_k, q4_k, q5_k, q6_k, iq4_nl, mxfp4, count };

constexpr int kPanelRows = 16;
constexpr int kGroupColumns = 32;
constexpr int kSuperColumns = 256;

struct FormatTraits {
  /** Bits of a quantized weight; 0 = float format. */
  int bits;
  /** Stored byte = value + (1 << zeroShift); 0 = no offset. */
  int zeroShift;
  /** Columns that share a scale. */
  int subGroup;
  bool hasMin;
  bool isK;
  /** Largest stored byte after look-up. */
  int maxByte;
  /** 0 none, 1 iq4_nl, 2 mxfp4. */
  int lookup;
  /** As in the model file. */
  int blockColumns, blockBytes;
};

constexpr FormatTraits kFormats[static_cast<int>(Format::count)] = {
    {0, 0, 1, false, false, 0, 0, 1, 4},        {0, 0, 1, false, false, 0, 0, 1, 2},      {0, 0, 1, false, false, 0, 0, 1, 2},
    {8, 7, 32, false, false, 255, 0, 32, 34},   {4, 3, 32, false, false, 15, 0, 32, 18},  {4, 0, 32, true, false, 15, 0, 32, 20},
    {5, 4, 32, false, false, 31, 0, 32, 22},    {5, 0, 32, true, false, 31, 0, 32, 24},   {4, 0, 16, true, true, 3, 0, 256, 84},
    {4, 2, 16, false, true, 7, 0, 256, 110},    {4, 0, 32, true, true, 15, 0, 256, 144},  {5, 0, 32, true, true, 31, 0, 256, 176},
    {6, 5, 16, false, true, 63, 0, 256, 210},   {4, 7, 32, false, false, 255, 1, 32, 18}, {4, 4, 32, false, false, 28, 2, 32, 17},
};

constexpr const FormatTraits& traits_of(Format format) { return kFormats[static_cast<int>(format)]; }
constexpr bool is_quantized(Format format) { return traits_of(format).bits != 0; }

/** Stored bytes of 4-bit codes: iq4_nl levels + 128, mxfp4 (e2m1) levels doubled + 16. */
alignas(16) constexpr uint8_t kLookups[3][16] = {
    {},
    {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241},
    {16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4},
};

constexpr size_t payload_group_bytes(const FormatTraits& t) { return static_cast<size_t>(t.bits) * 64; }
/** Bytes of a group's own scales: of one group in plain formats, of its sub-scales in K formats. */
constexpr size_t scale_group_bytes(const FormatTraits& t) {
  const size_t one = t.isK ? (t.subGroup == 16 ? 32 : 16) : 32;
  return t.hasMin ? 2 * one : one;
}
constexpr size_t super_header_bytes(const FormatTraits& t) { return t.isK ? (t.hasMin ? 64 : 32) : 0; }
constexpr size_t super_bytes(const FormatTraits& t) { return super_header_bytes(t) + 8 * scale_group_bytes(t); }

/** Offset of group g's scales from the start of the panel's scale region. */
constexpr size_t scale_offset(const FormatTraits& t, size_t group) {
  if (!t.isK) return group * scale_group_bytes(t);
  return (group / 8) * super_bytes(t) + super_header_bytes(t) + (group % 8) * scale_group_bytes(t);
}

constexpr size_t payload_bytes(Format format, size_t numColumns) {
  const FormatTraits& t = traits_of(format);
  return t.bits == 0 ? numColumns * kPanelRows * static_cast<size_t>(t.blockBytes) : numColumns / kGroupColumns * payload_group_bytes(t);
}

/** Bytes of one panel of sixteen rows; a multiple of 64. */
constexpr size_t panel_bytes(Format format, size_t numColumns) {
  const FormatTraits& t = traits_of(format);
  size_t bytes = payload_bytes(format, numColumns);
  if (t.bits != 0) bytes += t.isK ? numColumns / kSuperColumns * super_bytes(t) : numColumns / kGroupColumns * scale_group_bytes(t);
  return (bytes + 63) / 64 * 64;
}

/** A packed matrix (numRows, numColumns). The last panel's missing rows are zero. */
struct PackedMatrix {
  Format format;
  int32_t numRows, numColumns;
  size_t panelBytes;
  uint8_t* panels;

  int32_t numPanels() const { return (numRows + kPanelRows - 1) / kPanelRows; }
  uint8_t* panel(int32_t index) const { return panels + static_cast<size_t>(index) * panelBytes; }
};

constexpr int kActTokens = 8;

/** Quantized activations: 32 columns of eight tokens. Token t of a step lives in tile t / 8, lane t % 8; tiles hold all groups one after the other. */
struct alignas(64) ActGroup {
  int8_t q[kActTokens][kGroupColumns];
  /** f16-rounded amax / 127. */
  float d[kActTokens];
  /** Minus the sum of q: all 32 columns, then its two halves. */
  int32_t negSum[kActTokens];
  int32_t negHalf[2][kActTokens];
  /** The sum of q as float: all 32 columns, then its two halves. */
  float sum[kActTokens];
  float half[2][kActTokens];
};
static_assert(sizeof(ActGroup) == 512);

}  // namespace inferd
