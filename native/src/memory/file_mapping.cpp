#include "memory/file_mapping.h"

#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#define INFERD_HAS_MMAP 1
#endif

namespace inferd {

#ifdef INFERD_HAS_MMAP
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

bool is_file_of(int file, size_t bytes) {
  struct stat info;
  return fstat(file, &info) == 0 && S_ISREG(info.st_mode) && static_cast<size_t>(info.st_size) == bytes;
}

}  // namespace

bool FileMapping::open(const char* path, size_t bytes) {
  release();
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  if (bytes > 0 && is_file_of(file, bytes)) {
    // Room to align in, then the file over it.
    const size_t room = bytes + kHugePage;
    void* reserved = mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (reserved != MAP_FAILED) {
      mapping_ = reserved;
      mappingBytes_ = room;
      const uintptr_t address = (reinterpret_cast<uintptr_t>(reserved) + kHugePage - 1) / kHugePage * kHugePage;
      void* mapped = mmap(reinterpret_cast<void*>(address), bytes, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0);
      if (mapped != MAP_FAILED) data_ = static_cast<const uint8_t*>(mapped);
    }
  }
  close(file);
  if (data_ == nullptr) release();
  return data_ != nullptr;
}

void FileMapping::release() {
  if (mapping_ != nullptr) munmap(mapping_, mappingBytes_);
  mapping_ = nullptr;
  data_ = nullptr;
}
#else
bool FileMapping::open(const char*, size_t) { return false; }
void FileMapping::release() {}
#endif

}  // namespace inferd
