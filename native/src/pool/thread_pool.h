// Our own threads. A job is a list of phases, a phase a number of chunks that any thread may take. One 64-bit ticket
// says which phase is open and hands out its chunks; who completes the last chunk opens the next phase. Nobody waits
// for a thread that holds no chunk, so a core that a neighbour has stolen delays a step by at most one chunk.
//
//   ticket   | phase number (24 bits) | number of shares (20) | next share (20) |
//
// A share is one chunk; of a phase with more than 2^19 chunks it is a run of several, so that no count outgrows its field.
// The count sits in the ticket because a late thread may hold a ticket of a phase that is long over: that number alone
// tells it that there is nothing to take, whatever the job's memory has become.
#pragma once
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace inferd {

class Job {
 public:
  virtual ~Job() = default;
  virtual int32_t num_phases() const = 0;
  /** Called by one thread at a time, in order, when everything before is done. Returns the number of chunks, below 2^31; 0 skips the phase. */
  virtual int64_t begin_phase(int32_t phase) = 0;
  virtual void run_chunk(int32_t phase, int32_t chunk, int32_t thread) = 0;
  /** Called once by the thread that ran last; the pool forgets the job before. */
  virtual void finish() = 0;
};

class ThreadPool {
 public:
  /** Throws std::system_error when the system refuses a thread; none is left then. */
  explicit ThreadPool(int32_t numThreads);
  /** Waits for the running job. */
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int32_t num_threads() const { return static_cast<int32_t>(threads_.size()); }
  /** Starts a job; at most one at a time. Returns at once. */
  void submit(Job* job);

 private:
  void run_thread(int32_t thread);
  bool try_share(int32_t thread);
  void open_next_phase(int32_t thread);
  /** Ends the process when the ticket cannot hold the phase. */
  void publish(int64_t numChunks);
  void wait_for_change(uint64_t seen);
  void stop();

  std::vector<std::thread> threads_;
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<uint32_t> numDone_{0};
  alignas(64) std::atomic<uint32_t> wakeups_{0};
  std::atomic<int32_t> numSleeping_{0};
  std::atomic<bool> isStopping_{false};
  /** Written only between phases, by the thread that opens the next one. */
  Job* job_ = nullptr;
  int32_t phase_ = -1;
  int64_t numChunks_ = 0, chunksPerShare_ = 1;
  uint32_t phaseNumber_ = 0;
};

}  // namespace inferd
