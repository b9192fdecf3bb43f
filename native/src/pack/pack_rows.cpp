#include "pack/pack_rows.h"

#include <algorithm>
#include <cstring>

#include "half.h"
#include "pack/unpack_block.h"

namespace inferd {
namespace {

/** 16 rows of so many columns are 9 to 18 kB of a panel. */
constexpr int kTurnColumns = 1024;

float read_float(Format format, const uint8_t* p) {
  if (format == Format::f32) {
    float value;
    std::memcpy(&value, p, 4);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, p, 2);
  return format == Format::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

void pack_float_row(const PackedMatrix& m, int32_t row, const uint8_t* source) {
  const size_t bytes = static_cast<size_t>(traits_of(m.format).blockBytes);
  uint8_t* target = m.panel(row / kPanelRows) + static_cast<size_t>(row % kPanelRows) * bytes;
  for (int32_t c = 0; c < m.numColumns; c++) std::memcpy(target + static_cast<size_t>(c) * kPanelRows * bytes, source + static_cast<size_t>(c) * bytes, bytes);
}

uint32_t load_quad(const uint8_t* p) {
  uint32_t quad;
  std::memcpy(&quad, p, 4);
  return quad;
}

void store_quad(uint8_t* p, uint32_t quad) { std::memcpy(p, &quad, 4); }

/** Writes one lane of a group: 32 codes into its planes, four columns at a time. */
void pack_group(const FormatTraits& t, const uint8_t* code, int lane, uint8_t* payload) {
  uint8_t* low = payload + lane * 4;
  if (t.bits == 8) {
    for (int j = 0; j < 8; j++) store_quad(low + j * 64, load_quad(code + j * 4));
    return;
  }
  for (int j = 0; j < 4; j++) store_quad(low + j * 64, (load_quad(code + j * 4) & 0x0f0f0f0f) | ((load_quad(code + 16 + j * 4) & 0x0f0f0f0f) << 4));
  if (t.bits == 4) return;
  const int bits = t.bits - 4, quadsPerByte = 8 / bits;
  for (int plane = 0; plane * quadsPerByte < 8; plane++) {
    uint32_t high = 0;
    for (int j = 0; j < quadsPerByte; j++) high |= (load_quad(code + (plane * quadsPerByte + j) * 4) >> 4 & (bits == 1 ? 0x01010101 : 0x03030303)) << (j * bits);
    store_quad(low + 256 + plane * 64, high);
  }
}

void pack_scales(const FormatTraits& t, const UnpackedBlock& block, int lane, size_t group, uint8_t* scales) {
  if (!t.isK) {
    uint8_t* at = scales + scale_offset(t, group);
    std::memcpy(at + lane * 2, &block.scale, 2);
    if (t.hasMin) std::memcpy(at + 32 + lane * 2, &block.min, 2);
    return;
  }
  uint8_t* header = scales + scale_offset(t, group) - super_header_bytes(t);
  std::memcpy(header + lane * 2, &block.scale, 2);
  if (t.hasMin) std::memcpy(header + 32 + lane * 2, &block.min, 2);
  const int perGroup = kGroupColumns / t.subGroup;
  for (int g = 0; g < 8; g++) {
    uint8_t* at = scales + scale_offset(t, group + static_cast<size_t>(g));
    for (int s = 0; s < perGroup; s++) {
      at[s * 16 + lane] = static_cast<uint8_t>(block.subScale[g * perGroup + s]);
      if (t.hasMin) at[(perGroup + s) * 16 + lane] = static_cast<uint8_t>(block.subMin[g * perGroup + s]);
    }
  }
}

/** Blocks [begin, end) of a row, which begin at `source`. */
struct BlockRun {
  int32_t row;
  size_t begin, end;
  const uint8_t* source;
};

/**
 * Formats of 32 columns whose bytes lie as a panel has them, but for the bits of kFlip (byte i of a nibble format has the columns i and i + 16):
 * nothing is taken apart, and what the compiler knows it need not look up in each of some ten million blocks.
 */
template <int kHeader, int kQuads, uint32_t kFlip, bool kHasMin>
void copy_blocks(const PackedMatrix& m, const BlockRun& run) {
  constexpr size_t blockBytes = kHeader + kQuads * 4, payloadBytes = kQuads * 64, scaleBytes = kHasMin ? 64 : 32;
  const int lane = run.row % kPanelRows;
  uint8_t* panel = m.panel(run.row / kPanelRows);
  uint8_t* payload = panel + run.begin * payloadBytes + lane * 4;
  uint8_t* scales = panel + payload_bytes(m.format, static_cast<size_t>(m.numColumns)) + run.begin * scaleBytes + lane * 2;
  const uint8_t* source = run.source;
  for (size_t b = run.begin; b < run.end; b++, source += blockBytes, payload += payloadBytes, scales += scaleBytes) {
    for (int j = 0; j < kQuads; j++) store_quad(payload + j * 64, load_quad(source + kHeader + j * 4) ^ kFlip);
    std::memcpy(scales, source, 2);
    if (kHasMin) std::memcpy(scales + 32, source + 2, 2);
  }
}

void pack_blocks(const PackedMatrix& m, const BlockRun& run) {
  switch (m.format) {
    case Format::q4_0:
    case Format::iq4_nl: return copy_blocks<2, 4, 0, false>(m, run);
    case Format::q4_1: return copy_blocks<4, 4, 0, true>(m, run);
    case Format::q8_0: return copy_blocks<2, 8, 0x80808080, false>(m, run);
    default: break;
  }
  const FormatTraits& t = traits_of(m.format);
  uint8_t* payload = m.panel(run.row / kPanelRows);
  uint8_t* scales = payload + payload_bytes(m.format, static_cast<size_t>(m.numColumns));
  const int lane = run.row % kPanelRows, groupsPerBlock = t.blockColumns / kGroupColumns;
  UnpackedBlock block;
  const uint8_t* source = run.source;
  for (size_t b = run.begin; b < run.end; b++, source += t.blockBytes) {
    unpack_block(m.format, source, block);
    const size_t group = b * static_cast<size_t>(groupsPerBlock);
    for (int g = 0; g < groupsPerBlock; g++) pack_group(t, block.code + g * 32, lane, payload + (group + static_cast<size_t>(g)) * payload_group_bytes(t));
    pack_scales(t, block, lane, group, scales);
  }
}

int stored_code(const FormatTraits& t, const uint8_t* payload, int lane, int column) {
  const int quad = column / 4, k = column % 4;
  if (t.bits == 8) return payload[quad * 64 + lane * 4 + k];
  int code = (payload[quad % 4 * 64 + lane * 4 + k] >> (quad / 4 * 4)) & 15;
  if (t.bits > 4) {
    const int bits = t.bits - 4, quadsPerByte = 8 / bits;
    const int high = payload[256 + quad / quadsPerByte * 64 + lane * 4 + k] >> (quad % quadsPerByte * bits);
    code |= (high & ((1 << bits) - 1)) << 4;
  }
  return t.lookup != 0 ? kLookups[t.lookup][code] : code;
}

struct LaneScale {
  float scale, min;
};

float read_half(Format format, const uint8_t* p) { return read_float(format == Format::mxfp4 ? Format::bf16 : Format::f16, p); }

LaneScale stored_scale(Format format, const uint8_t* scales, int lane, size_t group, int sub) {
  const FormatTraits& t = traits_of(format);
  const uint8_t* at = scales + scale_offset(t, group);
  if (!t.isK) return {read_half(format, at + lane * 2), t.hasMin ? read_half(format, at + 32 + lane * 2) : 0.0f};
  const uint8_t* header = scales + scale_offset(t, group / 8 * 8) - super_header_bytes(t);
  const int perGroup = kGroupColumns / t.subGroup;
  const float scale = read_half(format, header + lane * 2) * static_cast<float>(static_cast<int8_t>(at[sub * 16 + lane]));
  const float min = t.hasMin ? -read_half(format, header + 32 + lane * 2) * static_cast<float>(static_cast<int8_t>(at[(perGroup + sub) * 16 + lane])) : 0.0f;
  return {scale, min};
}

}  // namespace

void pack_rows(const PackedMatrix& matrix, int32_t rowStart, int32_t numRows, const uint8_t* fileRows) {
  const FormatTraits& t = traits_of(matrix.format);
  const size_t numBlocks = static_cast<size_t>(matrix.numColumns / t.blockColumns), blockBytes = static_cast<size_t>(t.blockBytes), rowBytes = numBlocks * blockBytes;
  if (t.bits == 0) {
    for (int32_t i = 0; i < numRows; i++) pack_float_row(matrix, rowStart + i, fileRows + static_cast<size_t>(i) * rowBytes);
    return;
  }
  // The rows of a panel write into the same cache lines: they take turns while the lines are near.
  const size_t step = static_cast<size_t>(kTurnColumns / t.blockColumns);
  for (int32_t first = 0; first < numRows;) {
    const int32_t end = std::min(numRows, first + kPanelRows - (rowStart + first) % kPanelRows);
    for (size_t begin = 0; begin < numBlocks; begin += step)
      for (int32_t i = first; i < end; i++)
        pack_blocks(matrix, {rowStart + i, begin, std::min(numBlocks, begin + step), fileRows + static_cast<size_t>(i) * rowBytes + begin * blockBytes});
    first = end;
  }
}

void dequantize_row(const PackedMatrix& m, int32_t row, float scale, float* out) {
  const FormatTraits& t = traits_of(m.format);
  const uint8_t* payload = m.panel(row / kPanelRows);
  const int lane = row % kPanelRows;
  if (t.bits == 0) {
    const size_t bytes = static_cast<size_t>(t.blockBytes);
    for (int32_t c = 0; c < m.numColumns; c++) out[c] = read_float(m.format, payload + (static_cast<size_t>(c) * kPanelRows + static_cast<size_t>(lane)) * bytes) * scale;
    return;
  }
  const uint8_t* scales = payload + payload_bytes(m.format, static_cast<size_t>(m.numColumns));
  const int zero = t.zeroShift > 0 ? 1 << t.zeroShift : 0;
  for (size_t g = 0; g < static_cast<size_t>(m.numColumns / kGroupColumns); g++) {
    for (int sub = 0; sub < kGroupColumns / t.subGroup; sub++) {
      const LaneScale s = stored_scale(m.format, scales, lane, g, sub);
      for (int c = sub * t.subGroup; c < (sub + 1) * t.subGroup; c++) {
        const float level = static_cast<float>(stored_code(t, payload + g * payload_group_bytes(t), lane, c) - zero);
        out[g * kGroupColumns + static_cast<size_t>(c)] = (s.scale * level + s.min) * scale;
      }
    }
  }
}

void convert_vector(Format format, const uint8_t* source, int64_t count, float offset, float* out) {
  const size_t bytes = static_cast<size_t>(traits_of(format).blockBytes);
  for (int64_t i = 0; i < count; i++) out[i] = read_float(format, source + static_cast<size_t>(i) * bytes) + offset;
}

}  // namespace inferd
