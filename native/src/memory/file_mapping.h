// A file's bytes as memory: pages of the page cache, shared with every process that maps the same file.
#pragma once
#include <cstddef>
#include <cstdint>

namespace inferd {

class FileMapping {
 public:
  FileMapping() = default;
  ~FileMapping() { release(); }
  FileMapping(const FileMapping&) = delete;
  FileMapping& operator=(const FileMapping&) = delete;

  /** Maps a whole file to read, on a multiple of 2 MiB. False when it is not there, is not `bytes` long, or cannot be mapped here. */
  bool open(const char* path, size_t bytes);
  void release();
  const uint8_t* data() const { return data_; }

 private:
  void* mapping_ = nullptr;
  size_t mappingBytes_ = 0;
  const uint8_t* data_ = nullptr;
};

}  // namespace inferd
