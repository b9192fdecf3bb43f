// One block of a model file as codes and scales: the only place that knows the file's bit layouts (ggml-common.h,
// ggml-quants.c of ggml@d99724f; OCP MX 1.0 for mxfp4).
#pragma once
#include <cstdint>

#include "packed_format.h"

namespace inferd {

/** Up to 256 columns. Stored codes (offset included, before look-up), and per sub-group scales as the panel stores them. */
struct UnpackedBlock {
  uint8_t code[kSuperColumns];
  /** f16 (bf16 for mxfp4) bits; in K formats d and dmin of the super-block. */
  uint16_t scale, min;
  /** K formats: per sub-group (16 or 32 columns). */
  int8_t subScale[16];
  int8_t subMin[16];
};

void unpack_block(Format format, const uint8_t* block, UnpackedBlock& out);

}  // namespace inferd
