// Large zeroed memory, aligned to 2 MiB where that is more than the request, on huge pages where the system gives them.
#pragma once
#include <cstddef>
#include <cstdint>

namespace inferd {

class HugeBuffer {
 public:
  HugeBuffer() = default;
  ~HugeBuffer() { release(); }
  HugeBuffer(const HugeBuffer&) = delete;
  HugeBuffer& operator=(const HugeBuffer&) = delete;

  /** False when the system has no room. Pages are touched only when first used. */
  bool allocate(size_t bytes);
  void release();
  uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void* mapping_ = nullptr;
  size_t mappingBytes_ = 0;
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace inferd
