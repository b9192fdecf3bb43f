// Memory that ends exactly at a page which may not be touched: one element too many is a crash, whatever instruction reads it.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace inferd::test {

template <typename ELEMENT> class Guarded {
 public:
  explicit Guarded(size_t count) : count_(count) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), bytes = count * sizeof(ELEMENT);
    mappingBytes_ = (bytes + page - 1) / page * page + page;
    mapping_ = static_cast<uint8_t*>(mmap(nullptr, mappingBytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (mapping_ == MAP_FAILED || mprotect(mapping_ + mappingBytes_ - page, page, PROT_NONE) != 0) std::abort();
    data_ = reinterpret_cast<ELEMENT*>(mapping_ + mappingBytes_ - page - bytes);
  }
  ~Guarded() { munmap(mapping_, mappingBytes_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  ELEMENT* data() { return data_; }
  size_t count() const { return count_; }
  ELEMENT& operator[](size_t index) { return data_[index]; }

 private:
  uint8_t* mapping_;
  size_t mappingBytes_;
  ELEMENT* data_;
  size_t count_;
};

/** A small generator: the tests are the same every time. */
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  uint32_t next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 33);
  }
  int32_t below(int32_t limit) { return static_cast<int32_t>(next() % static_cast<uint32_t>(limit)); }
  /** In [-1, 1). */
  float unit() { return static_cast<float>(next() & 0xffffff) / 8388608.0f - 1.0f; }

 private:
  uint64_t state_;
};

inline void fill(Guarded<float>& buffer, Random& random) {
  for (size_t i = 0; i < buffer.count(); i++) buffer[i] = random.unit();
}

/** FNV-1a over the bits of everything that expect_near() has seen: equal on two machines when their kernels gave the same bits. */
inline uint64_t& seen_bits() {
  static uint64_t bits = 0;
  return bits;
}

inline void expect_near(double actual, double expected, double tolerance, const char* what) {
  const float single = static_cast<float>(actual);
  uint32_t bits;
  std::memcpy(&bits, &single, 4);
  seen_bits() = (seen_bits() ^ bits) * 0x100000001b3u;
  const double difference = actual > expected ? actual - expected : expected - actual;
  if (difference <= tolerance || actual == expected) return;
  std::fprintf(stderr, "%s: %g, expected %g\n", what, actual, expected);
  std::exit(1);
}

inline void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "%s\n", what);
  std::exit(1);
}

}  // namespace inferd::test
