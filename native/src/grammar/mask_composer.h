// The mask of one position, composed of cached entries: a generalized LL parse over sets of trie nodes in place of text positions. A rule
// that may end at some nodes hands them to its callers; a frame is shared by (rule, node set). Callers that come after their frame has
// ended are returned to at once, so that the order of the work list does not matter.
#pragma once
#include <cstdint>
#include <vector>

#include "grammar/configurations.h"
#include "grammar/mask_cache.h"

namespace inferd::grammar {

/**
 * What one mask may cost this way, in nodes of the trie visited: that many, or so many times the trie where it is large. Sets of nodes can
 * multiply where configurations at single nodes do not; masks beyond it are made by a plain walk.
 */
constexpr int64_t kMaxComposedWork = 3'500'000, kMaxComposedTries = 8;
/** What an item with its cached entry, and an arrival or a caller in their tables, cost in nodes visited. They bound memory too. */
constexpr int64_t kItemWork = 64, kTableWork = 32;

class MaskComposer {
 public:
  MaskComposer(const Automaton& automaton, const TokenTrie& trie, const FreeText& freeText, MaskCache& cache);

  /** Sets the bits of all tokens that byte edges allow. False: too much work, some bits are missing. Which one does not depend on the cache. */
  bool fill(const ConfigurationArena& arena, const Position& position, uint32_t* words);
  /** What the last mask cost. */
  int64_t work() const { return work_; }
  size_t memory_bytes() const;
  /** Gives back what a very large mask took. */
  void trim();

 private:
  /** What is still to be looked at: only bytes at the text's own position, where returns and calls are taken; no end where a rule was just called. */
  enum class Stage : uint8_t { kClosed, kCalled, kArrived };
  struct Item {
    int32_t state, count, frame;
    NodeSetId nodes;
    Stage stage;
  };
  /** Frames called ahead of the text; their ids follow those of the arena. Lists as in configurations.h. */
  struct AheadFrame {
    int32_t firstCaller, firstEnd;
  };
  struct End {
    NodeSetId nodes;
    int32_t next;
  };

  bool process(const Item& item, uint32_t* words);
  void take_tokens(const MaskEntry& entry, uint32_t* words);
  void take_calls(int32_t state, int32_t count, int32_t frame, NodeSetId nodes);
  void end_frame(int32_t frame, NodeSetId nodes);
  void arrive(const Caller& caller, NodeSetId nodes);
  bool needs_exits(int32_t frame) const;

  const Automaton& automaton_;
  const FreeText& freeText_;
  MaskCache& cache_;
  int64_t maxWork_;

  // Of the mask in the making.
  const ConfigurationArena* arena_ = nullptr;
  std::vector<Item> items_;
  std::vector<AheadFrame> frames_;
  std::vector<Caller> callers_;
  std::vector<End> ends_;
  StampedTable arrived_, ended_, frameIndex_, callerIndex_;
  int32_t freeCodePoints_ = 0;
  int64_t work_ = 0;
};

}  // namespace inferd::grammar
