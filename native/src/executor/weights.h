// A program's weights in memory: matrices as panels, one after the other, then vectors as f32. The whole is one stretch of bytes, filled from the
// model's file, or mapped from a file that holds what an executor of the same program had filled before.
#pragma once
#include <memory>
#include <vector>

#include "executor/lowered_program.h"
#include "memory/file_mapping.h"
#include "memory/huge_buffer.h"

namespace inferd {

class Weights {
 public:
  Weights(const std::vector<MatrixShape>& matrices, const std::vector<int32_t>& vectorLengths);

  size_t bytes() const { return matrixBytes_ + vectorFloats_ * sizeof(float); }
  /** Where packedPath is null, or names no file of bytes(), the weights are zero, to be filled. False when memory is refused by the system. */
  bool allocate(const char* packedPath);
  /** The memory to be filled; null when it is a file. */
  const std::shared_ptr<HugeBuffer>& filled() const { return filled_; }

  const PackedMatrix& matrix(int32_t index) const { return matrices_[static_cast<size_t>(index)]; }
  /** Written only where filled() is not null. */
  float* vector(int32_t index) const { return vectors_[static_cast<size_t>(index)]; }

 private:
  std::shared_ptr<HugeBuffer> filled_;
  FileMapping mapped_;
  /** Panels point into the memory when there is some. */
  std::vector<PackedMatrix> matrices_;
  std::vector<int32_t> vectorLengths_;
  std::vector<float*> vectors_;
  size_t matrixBytes_ = 0, vectorFloats_ = 0;
};

}  // namespace inferd
