// The pool: every chunk of every phase runs once, phases never overlap, jobs follow each other from another thread.
#include <atomic>
#include <initializer_list>
#include <vector>

#include "guarded.h"
#include "pool/thread_pool.h"
#include "suites.h"

namespace inferd::test {
namespace {

/** Each phase adds to a plain sum per chunk what the phase before left there: a race or an overlap shows in the result. */
class SumJob final : public Job {
 public:
  SumJob(std::vector<int32_t> chunks, int32_t width) : chunks_(std::move(chunks)), sums_(static_cast<size_t>(width), 0) {}
  int32_t num_phases() const override { return static_cast<int32_t>(chunks_.size()); }
  int64_t begin_phase(int32_t phase) override {
    total_ = 0;
    for (const int64_t sum : sums_) total_ += sum;
    return chunks_[static_cast<size_t>(phase)];
  }
  void run_chunk(int32_t phase, int32_t chunk, int32_t) override { sums_[static_cast<size_t>(chunk)] += phase + 1 + total_ % 3; }
  void finish() override {
    isDone_.store(true);
    isDone_.notify_all();
  }
  void wait() { isDone_.wait(false); }
  const std::vector<int64_t>& sums() const { return sums_; }

 private:
  std::vector<int32_t> chunks_;
  std::vector<int64_t> sums_;
  int64_t total_ = 0;
  std::atomic<bool> isDone_{false};
};

std::vector<int64_t> run_alone(const std::vector<int32_t>& chunks, int32_t width) {
  std::vector<int64_t> sums(static_cast<size_t>(width), 0);
  for (size_t phase = 0; phase < chunks.size(); phase++) {
    int64_t total = 0;
    for (const int64_t sum : sums) total += sum;
    for (int32_t c = 0; c < chunks[phase]; c++) sums[static_cast<size_t>(c)] += static_cast<int64_t>(phase) + 1 + total % 3;
  }
  return sums;
}

/** Phases of more chunks than a ticket counts; a thread's chunks are summed up in its own place. */
class CountJob final : public Job {
 public:
  CountJob(std::vector<int64_t> chunks, int32_t numThreads) : chunks_(std::move(chunks)), sums_(static_cast<size_t>(numThreads) * kLine, 0) {}
  int32_t num_phases() const override { return static_cast<int32_t>(chunks_.size()); }
  int64_t begin_phase(int32_t phase) override {
    if (phase > 0) check_phase(chunks_[static_cast<size_t>(phase) - 1]);
    return chunks_[static_cast<size_t>(phase)];
  }
  void run_chunk(int32_t, int32_t chunk, int32_t thread) override {
    sums_[static_cast<size_t>(thread) * kLine] += chunk;
    sums_[static_cast<size_t>(thread) * kLine + 1]++;
  }
  void finish() override {
    check_phase(chunks_.back());
    isDone_.store(true);
    isDone_.notify_all();
  }
  void wait() { isDone_.wait(false); }

 private:
  static constexpr size_t kLine = 8;
  void check_phase(int64_t numChunks) {
    int64_t sum = 0, count = 0;
    for (size_t i = 0; i < sums_.size(); i += kLine) sum += sums_[i], count += sums_[i + 1], sums_[i] = sums_[i + 1] = 0;
    expect(count == numChunks && sum == numChunks * (numChunks - 1) / 2, "a phase of many chunks was left undone");
  }

  std::vector<int64_t> chunks_, sums_;
  std::atomic<bool> isDone_{false};
};

void test_many_chunks() {
  constexpr int64_t kField = int64_t{1} << 20;
  for (const int32_t numThreads : {1, 3}) {
    ThreadPool pool(numThreads);
    CountJob job({kField / 2 + 1, kField + 7, 1792 * 1024, 3}, numThreads);
    pool.submit(&job);
    job.wait();
  }
}

}  // namespace

void test_pool() {
  test_many_chunks();
  constexpr int32_t kWidth = 40;
  Random random(19);
  for (const int32_t numThreads : {1, 2, 3, 7}) {
    ThreadPool pool(numThreads);
    for (int i = 0; i < 300; i++) {
      std::vector<int32_t> chunks(static_cast<size_t>(random.below(30)));
      for (int32_t& count : chunks) count = random.below(3) == 0 ? random.below(2) : random.below(kWidth + 1);
      SumJob job(chunks, kWidth);
      pool.submit(&job);
      job.wait();
      expect(job.sums() == run_alone(chunks, kWidth), "a chunk ran twice, not at all, or too early");
      // Sometimes long enough for the threads to fall asleep.
      if (i % 50 == 0) usleep(2000);
    }
  }
}

}  // namespace inferd::test
