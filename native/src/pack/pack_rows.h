// From the model file's blocks to the kernels' panels. Plain C++: loading is bound by reading, and every row is
// independent, so threads share it by rows.
#pragma once
#include "packed_format.h"

namespace inferd {

/** Packs rows [rowStart, rowStart + numRows) of `matrix` from file rows one after the other. */
void pack_rows(const PackedMatrix& matrix, int32_t rowStart, int32_t numRows, const uint8_t* fileRows);

/** out: f32 (numColumns) = row of the matrix * scale. */
void dequantize_row(const PackedMatrix& matrix, int32_t row, float scale, float* out);

/** Converts a float vector (f32, f16, bf16) and adds `offset`. */
void convert_vector(Format format, const uint8_t* source, int64_t count, float offset, float* out);

}  // namespace inferd
