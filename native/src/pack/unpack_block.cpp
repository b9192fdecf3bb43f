#include "pack/unpack_block.h"

#include <cstring>

namespace inferd {
namespace {

uint16_t read_u16(const uint8_t* p) {
  uint16_t value;
  std::memcpy(&value, p, 2);
  return value;
}

void unpack_nibbles(const uint8_t* q, uint8_t* code) {
  for (int i = 0; i < 16; i++) {
    code[i] = q[i] & 15;
    code[i + 16] = q[i] >> 4;
  }
}

void add_fifth_bit(const uint8_t* bits, uint8_t* code) {
  for (int i = 0; i < 32; i++) code[i] = static_cast<uint8_t>(code[i] | (((bits[i / 8] >> (i % 8)) & 1) << 4));
}

/** Six-bit scales and minimums of q4_k and q5_k: eight of each in twelve bytes. */
void unpack_k_scales(const uint8_t* packed, UnpackedBlock& out) {
  for (int j = 0; j < 8; j++) {
    const int high = j - 4;
    const int scale = j < 4 ? packed[j] & 63 : (packed[j + 4] & 15) | ((packed[high] >> 6) << 4);
    const int min = j < 4 ? packed[j + 4] & 63 : (packed[j + 4] >> 4) | ((packed[j] >> 6) << 4);
    out.subScale[j] = static_cast<int8_t>(scale);
    out.subMin[j] = static_cast<int8_t>(min);
  }
}

void unpack_q2_k(const uint8_t* block, UnpackedBlock& out) {
  for (int j = 0; j < 16; j++) {
    out.subScale[j] = static_cast<int8_t>(block[j] & 15);
    out.subMin[j] = static_cast<int8_t>(block[j] >> 4);
  }
  const uint8_t* q = block + 16;
  for (int run = 0; run < 8; run++)
    for (int i = 0; i < 32; i++) out.code[run * 32 + i] = (q[run / 4 * 32 + i] >> (run % 4 * 2)) & 3;
  out.scale = read_u16(block + 80);
  out.min = read_u16(block + 82);
}

void unpack_q3_k(const uint8_t* block, UnpackedBlock& out) {
  const uint8_t *high = block, *q = block + 32, *scales = block + 96;
  for (int run = 0; run < 8; run++)
    for (int i = 0; i < 32; i++) {
      const int low = (q[run / 4 * 32 + i] >> (run % 4 * 2)) & 3;
      out.code[run * 32 + i] = static_cast<uint8_t>(low | (((high[i] >> run) & 1) << 2));
    }
  for (int j = 0; j < 16; j++) {
    const int low = j < 8 ? scales[j] & 15 : scales[j - 8] >> 4;
    const int top = (scales[8 + j % 4] >> (j / 4 * 2)) & 3;
    out.subScale[j] = static_cast<int8_t>((low | (top << 4)) - 32);
  }
  out.scale = read_u16(block + 108);
}

void unpack_q4_k(const uint8_t* block, UnpackedBlock& out) {
  out.scale = read_u16(block);
  out.min = read_u16(block + 2);
  unpack_k_scales(block + 4, out);
  const uint8_t* q = block + 16;
  for (int run = 0; run < 8; run++)
    for (int i = 0; i < 32; i++) out.code[run * 32 + i] = (q[run / 2 * 32 + i] >> (run % 2 * 4)) & 15;
}

void unpack_q5_k(const uint8_t* block, UnpackedBlock& out) {
  out.scale = read_u16(block);
  out.min = read_u16(block + 2);
  unpack_k_scales(block + 4, out);
  const uint8_t *high = block + 16, *q = block + 48;
  for (int run = 0; run < 8; run++)
    for (int i = 0; i < 32; i++) {
      const int low = (q[run / 2 * 32 + i] >> (run % 2 * 4)) & 15;
      out.code[run * 32 + i] = static_cast<uint8_t>(low | (((high[i] >> run) & 1) << 4));
    }
}

void unpack_q6_k(const uint8_t* block, UnpackedBlock& out) {
  const uint8_t *low = block, *high = block + 128;
  for (int run = 0; run < 8; run++) {
    const int half = run / 4, quarter = run % 4;
    for (int i = 0; i < 32; i++) {
      const int nibble = (low[half * 64 + quarter % 2 * 32 + i] >> (quarter / 2 * 4)) & 15;
      const int top = (high[half * 32 + i] >> (quarter * 2)) & 3;
      out.code[run * 32 + i] = static_cast<uint8_t>(nibble | (top << 4));
    }
  }
  for (int j = 0; j < 16; j++) out.subScale[j] = static_cast<int8_t>(block[192 + j]);
  out.scale = read_u16(block + 208);
}

/** bf16 bits of 2^(e - 128): half of the e8m0 scale, because the levels are stored doubled. */
uint16_t half_e8m0_as_bf16(uint8_t e) {
  if (e >= 2) return static_cast<uint16_t>((e - 1) << 7);
  return e == 1 ? 0x40 : 0x20;
}

void unpack_plain_scales(Format format, const uint8_t* block, UnpackedBlock& out) {
  out.scale = format == Format::mxfp4 ? half_e8m0_as_bf16(block[0]) : read_u16(block);
  if (traits_of(format).hasMin) out.min = read_u16(block + 2);
}

}  // namespace

void unpack_block(Format format, const uint8_t* block, UnpackedBlock& out) {
  if (!traits_of(format).isK) unpack_plain_scales(format, block, out);
  switch (format) {
    case Format::q8_0:
      for (int i = 0; i < 32; i++) out.code[i] = block[2 + i] ^ 0x80;
      return;
    case Format::q4_0:
    case Format::iq4_nl: return unpack_nibbles(block + 2, out.code);
    case Format::q4_1: return unpack_nibbles(block + 4, out.code);
    case Format::q5_0:
      unpack_nibbles(block + 6, out.code);
      return add_fifth_bit(block + 2, out.code);
    case Format::q5_1:
      unpack_nibbles(block + 8, out.code);
      return add_fifth_bit(block + 4, out.code);
    case Format::mxfp4: return unpack_nibbles(block + 1, out.code);
    case Format::q2_k: return unpack_q2_k(block, out);
    case Format::q3_k: return unpack_q3_k(block, out);
    case Format::q4_k: return unpack_q4_k(block, out);
    case Format::q5_k: return unpack_q5_k(block, out);
    case Format::q6_k: return unpack_q6_k(block, out);
    default: return;
  }
}

}  // namespace inferd
