#include "memory/huge_buffer.h"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#define INFERD_HAS_MMAP 1
#endif
#include <cstdlib>

namespace inferd {
namespace {
constexpr size_t kHugePage = size_t{2} << 20;
}

#ifdef INFERD_HAS_MMAP
bool HugeBuffer::allocate(size_t bytes) {
  release();
  if (bytes == 0) return true;
  const size_t alignment = bytes >= kHugePage ? kHugePage : 4096;
  const size_t mappingBytes = (bytes + 4095) / 4096 * 4096 + alignment;
  void* mapping = mmap(nullptr, mappingBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return false;
  mapping_ = mapping;
  mappingBytes_ = mappingBytes;
  const uintptr_t address = (reinterpret_cast<uintptr_t>(mapping) + alignment - 1) / alignment * alignment;
  data_ = reinterpret_cast<uint8_t*>(address);
  bytes_ = bytes;
#ifdef MADV_HUGEPAGE
  if (alignment == kHugePage) madvise(data_, bytes, MADV_HUGEPAGE);
#endif
  return true;
}

void HugeBuffer::release() {
  if (mapping_ != nullptr) munmap(mapping_, mappingBytes_);
  mapping_ = nullptr;
  data_ = nullptr;
  bytes_ = 0;
}
#else
bool HugeBuffer::allocate(size_t bytes) {
  release();
  if (bytes == 0) return true;
  mapping_ = std::calloc(bytes + 64, 1);
  if (mapping_ == nullptr) return false;
  data_ = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(mapping_) + 63) / 64 * 64);
  bytes_ = bytes;
  return true;
}

void HugeBuffer::release() {
  std::free(mapping_);
  mapping_ = nullptr;
  data_ = nullptr;
  bytes_ = 0;
}
#endif

}  // namespace inferd
