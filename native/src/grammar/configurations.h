// Sets of configurations (state, count, frame) of the pushdown automaton, moved byte by byte. One position of the text has one frame
// for each rule that is called there, shared by all callers: left and right recursion and ambiguity cost a bounded set, not a tree.
//
// Everything lies in arenas that only grow, a position behind the one before; going back is cutting them off. A frame gets callers only
// at its own position, and its rule never ends there, so that its callers are complete when they are asked for.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/stamped_table.h"

namespace inferd::grammar {

/** MAX_CONFIGURATIONS of token-matcher.ts. */
constexpr int32_t kMaxConfigurations = 20000;
/** Configurations, callers and returns looked at for one position: a bound of time where the set itself stays small. */
constexpr int64_t kMaxPositionWork = 4 * kMaxConfigurations;
/** `returnState` of the root's caller: the text ends. */
constexpr int32_t kTextEnd = -1;

struct Configuration {
  int32_t state, count, frame;
};

/** What to go on with when a frame's rule ends. `count` already counts the arrival in returnState. `next`: the frame's next one, or -1. */
struct Caller {
  int32_t returnState, count, parent, next;
};

struct Frame {
  int32_t firstCaller;
  /** The round of the position where its rule last ended: a rule ends once a position. */
  uint64_t endedAt;
};

/** Part of ConfigurationArena::configurations. */
struct Position {
  size_t begin = 0, end = 0;
  bool canEnd = false;
};

struct ConfigurationArena {
  std::vector<Configuration> configurations;
  std::vector<Frame> frames;
  std::vector<Caller> callers;

  struct Mark {
    size_t numConfigurations, numFrames, numCallers;
  };
  Mark mark() const { return {configurations.size(), frames.size(), callers.size()}; }
  void cut(const Mark& mark) {
    configurations.resize(mark.numConfigurations);
    frames.resize(mark.numFrames);
    callers.resize(mark.numCallers);
  }
  /** Keeps the position, which becomes the first, and the frames that it can return to. Linear in what there was. */
  void compact(Position& position);
  size_t memory_bytes() const {
    return configurations.capacity() * sizeof(Configuration) + frames.capacity() * sizeof(Frame) + callers.capacity() * sizeof(Caller);
  }
};

/** Makes positions; its memory is shared by all arenas of one grammar, on one thread. */
class Stepper {
 public:
  explicit Stepper(const Automaton& automaton);

  /** Makes the first position in an empty arena. False: too ambiguous. */
  bool start(ConfigurationArena& arena, Position& position);
  /** begin, then any number of moves, then close: a new position at the end of the arena. */
  void begin(ConfigurationArena& arena, Position& position);
  void move_byte(ConfigurationArena& arena, const Position& from, uint8_t byte);
  void move_token(ConfigurationArena& arena, const Position& from, int32_t token);
  /** Takes all returns and calls. False: too ambiguous; the position is of no use. */
  bool close(ConfigurationArena& arena, Position& position);

  /** Configurations, callers and returns looked at since the beginning. */
  int64_t work() const { return work_; }
  /** Counts work that others do for a position. */
  void add_work(int64_t work) { work_ += work; }
  size_t memory_bytes() const { return configurations_.memory_bytes() + callers_.memory_bytes() + frameOfRule_.capacity() * sizeof(RuleFrame); }
  /** Gives back what a very large position took. */
  void trim();

 private:
  struct RuleFrame {
    uint64_t round = 0;
    int32_t frame = -1;
  };

  void add(ConfigurationArena& arena, int32_t state, int32_t count, int32_t frame);
  void add_caller(ConfigurationArena& arena, int32_t frame, const Caller& caller);
  void end_frame(ConfigurationArena& arena, int32_t frame, Position& position);
  void call(ConfigurationArena& arena, const Configuration& from, int32_t rule, int32_t returnState);

  const Automaton& automaton_;
  StampedTable configurations_, callers_;
  std::vector<RuleFrame> frameOfRule_;
  /** Frames from here on belong to the position in the making. */
  size_t firstFrame_ = 0;
  uint64_t round_ = 0;
  int64_t work_ = 0;
};

}  // namespace inferd::grammar
