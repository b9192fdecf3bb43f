#include "pool/thread_pool.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace inferd {
namespace {

constexpr int kCountBits = 20;
constexpr uint64_t kCountMask = (uint64_t{1} << kCountBits) - 1;
/** Half of what a field holds: late threads count on beyond the last share, each by one. */
constexpr int64_t kMaxShares = int64_t{1} << (kCountBits - 1);
/** About 30 microseconds: longer than a phase's tail, shorter than a scheduler's slice. */
constexpr int kSpins = 1500;

uint64_t next_share(uint64_t ticket) { return ticket & kCountMask; }
uint64_t num_shares(uint64_t ticket) { return (ticket >> kCountBits) & kCountMask; }
bool is_open(uint64_t ticket) { return next_share(ticket) < num_shares(ticket); }

void pause_briefly() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/** A count that would leave work undone: nothing that follows could be trusted. */
[[noreturn]] void fail_phase(int32_t phase, int64_t numChunks) {
  std::fprintf(stderr, "inferd: phase %d has %lld chunks, which no ticket holds\n", static_cast<int>(phase), static_cast<long long>(numChunks));
  std::abort();
}

}  // namespace

ThreadPool::ThreadPool(int32_t numThreads) {
  threads_.reserve(static_cast<size_t>(numThreads));
  try {
    for (int32_t i = 0; i < numThreads; i++) threads_.emplace_back([this, i] { run_thread(i); });
  } catch (...) {
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  isStopping_.store(true);
  wakeups_.fetch_add(1);
  wakeups_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::submit(Job* job) {
  job_ = job;
  phase_ = -1;
  // One chunk that does nothing: whoever takes it opens the first phase.
  publish(1);
}

void ThreadPool::publish(int64_t numChunks) {
  numChunks_ = numChunks;
  chunksPerShare_ = (numChunks + kMaxShares - 1) / kMaxShares;
  const int64_t numShares = chunksPerShare_ == 0 ? 0 : (numChunks + chunksPerShare_ - 1) / chunksPerShare_;
  if (numShares < 1 || numShares > kMaxShares) fail_phase(phase_, numChunks);
  numDone_.store(0, std::memory_order_relaxed);
  phaseNumber_ = (phaseNumber_ + 1) & 0xffffff;
  ticket_.store((static_cast<uint64_t>(phaseNumber_) << (2 * kCountBits)) | (static_cast<uint64_t>(numShares) << kCountBits));
  if (numSleeping_.load() == 0) return;
  wakeups_.fetch_add(1);
  wakeups_.notify_all();
}

void ThreadPool::run_thread(int32_t thread) {
  while (true) {
    // Read first: work that was submitted before the stop is still done.
    const bool isStopping = isStopping_.load();
    if (try_share(thread)) continue;
    if (isStopping) return;
    const uint64_t seen = ticket_.load();
    if (!is_open(seen)) wait_for_change(seen);
  }
}

bool ThreadPool::try_share(int32_t thread) {
  if (!is_open(ticket_.load(std::memory_order_relaxed))) return false;
  const uint64_t ticket = ticket_.fetch_add(1);
  if (!is_open(ticket)) return false;
  const int64_t begin = static_cast<int64_t>(next_share(ticket)) * chunksPerShare_, end = std::min(begin + chunksPerShare_, numChunks_);
  for (int64_t chunk = begin; phase_ >= 0 && chunk < end; chunk++) job_->run_chunk(phase_, static_cast<int32_t>(chunk), thread);
  if (numDone_.fetch_add(1) + 1 == num_shares(ticket)) open_next_phase(thread);
  return true;
}

void ThreadPool::open_next_phase(int32_t thread) {
  Job* job = job_;
  const int32_t numPhases = job->num_phases();
  while (++phase_ < numPhases) {
    const int64_t numChunks = job->begin_phase(phase_);
    if (numChunks < 0 || numChunks > INT32_MAX) fail_phase(phase_, numChunks);
    if (numChunks == 1) job->run_chunk(phase_, 0, thread);
    if (numChunks > 1) return publish(numChunks);
  }
  job_ = nullptr;
  job->finish();
}

void ThreadPool::wait_for_change(uint64_t seen) {
  const uint64_t phase = seen >> (2 * kCountBits);
  for (int i = 0; i < kSpins; i++) {
    if (ticket_.load(std::memory_order_relaxed) >> (2 * kCountBits) != phase || isStopping_.load(std::memory_order_relaxed)) return;
    pause_briefly();
  }
  numSleeping_.fetch_add(1);
  const uint32_t wakeups = wakeups_.load();
  if (ticket_.load() >> (2 * kCountBits) == phase && !isStopping_.load()) wakeups_.wait(wakeups);
  numSleeping_.fetch_sub(1);
}

}  // namespace inferd
