#include "executor/weights.h"

namespace inferd {
namespace {

size_t padded_length(int32_t length) { return (static_cast<size_t>(length) + 15) / 16 * 16; }

size_t bytes_of(const PackedMatrix& matrix) { return matrix.panelBytes * static_cast<size_t>(matrix.numPanels()); }

}  // namespace

Weights::Weights(const std::vector<MatrixShape>& matrices, const std::vector<int32_t>& vectorLengths) : vectorLengths_(vectorLengths) {
  for (const MatrixShape& shape : matrices) {
    matrices_.push_back({shape.format, shape.numRows, shape.numColumns, panel_bytes(shape.format, static_cast<size_t>(shape.numColumns)), nullptr});
    matrixBytes_ += bytes_of(matrices_.back());
  }
  for (const int32_t length : vectorLengths_) vectorFloats_ += padded_length(length);
}

bool Weights::allocate(const char* packedPath) {
  if (packedPath == nullptr || !mapped_.open(packedPath, bytes())) {
    filled_ = std::make_shared<HugeBuffer>();
    if (!filled_->allocate(bytes())) return false;
  }
  // Nobody writes to a mapping: kernels read weights.
  uint8_t* at = filled_ == nullptr ? const_cast<uint8_t*>(mapped_.data()) : filled_->data();
  // Kernels prefetch past the last panel; a prefetch never faults.
  for (PackedMatrix& matrix : matrices_) {
    matrix.panels = at;
    at += bytes_of(matrix);
  }
  float* vector = reinterpret_cast<float*>(at);
  for (const int32_t length : vectorLengths_) {
    vectors_.push_back(vector);
    vector += padded_length(length);
  }
  return true;
}

}  // namespace inferd
