// What a state says about the tokens ahead, computed once. An entry answers: a rule stands in `state` at every node of a node set of the
// trie; which tokens end inside of the rule, at which nodes may the rule end, and at which nodes may it call. That needs no caller, is one
// deterministic walk, and the node sets in the answer are what the next rule's entry is asked with: a mask is a chain of entries.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/free_text.h"
#include "grammar/stamped_table.h"
#include "grammar/token_trie.h"

namespace inferd::grammar {

/** Id of an interned set of nodes of the trie. */
using NodeSetId = int32_t;
constexpr NodeSetId kNoNodes = -1, kRootNodes = 0;

/** The rule stands at every node of `nodes` in a state with call edges, its count grown by countGrowth since the entry. */
struct CallSite {
  int32_t state, countGrowth;
  NodeSetId nodes;
};

struct MaskEntry {
  /** One of both holds the tokens. */
  std::vector<int32_t> tokens;
  std::vector<uint32_t> words;
  /** All tokens of at most so many code points of free text too. */
  int32_t freeCodePoints = 0;
  /** Nodes at which the rule may end and tokens go on, or kNoNodes; those behind free text apart. */
  NodeSetId exits = kNoNodes, textExits = kNoNodes;
  std::vector<CallSite> calls;
  /** Nodes that were visited: what it would cost without the cache. */
  int64_t work = 0;
  /** The mask that it was last counted in. */
  uint64_t countedIn = 0;
};

class MaskCache {
 public:
  MaskCache(const TokenTrie& trie, const FreeText& freeText, const Automaton& automaton);

  /**
   * The entry of a rule that stands in `state` with `count` at all nodes of a set. It lives until `clear`. Without `needsExits` nodes where
   * the rule may end are left out. Adds to `work` what it costs, once a mask, known before or not; null where that would exceed maxWork.
   */
  const MaskEntry* entry(NodeSetId nodes, int32_t state, int32_t count, bool needsExits, int64_t& work, int64_t maxWork);
  void begin_mask() { mask_++; }
  void clear();
  size_t memory_bytes() const { return bytes_ + index_.memory_bytes() + textIndex_.memory_bytes() + scratch_bytes(); }

 private:
  /** The arrivals of one walk that share state and count. */
  struct Arrivals {
    int32_t state, count;
    std::vector<int32_t> nodes;
  };

  TableKey key_of(NodeSetId nodes, int32_t state, int32_t count, bool needsExits) const;
  bool compute(NodeSetId nodes, int32_t state, int32_t count, bool needsExits, int64_t maxWork, MaskEntry& entry);
  struct TextRange {
    int32_t first, last;
  };
  /** Nodes ascend. Those behind free text are known by their code points alone, until somebody needs them one by one. */
  struct NodeSet {
    std::vector<int32_t> nodes;
    TextRange text{0, 0};
    bool isText = false, isListed = true;
  };

  bool walk_free_text(int32_t state, int32_t count, int64_t maxWork, MaskEntry& entry);
  bool walk_stops(int32_t state, int32_t count, TextRange text, bool grows, int64_t maxWork);
  bool walk_stops_of(uint8_t byte, int32_t state, int32_t count, TextRange text, bool grows, int64_t maxWork);
  bool walk_nodes(NodeSetId nodes, int32_t state, int32_t count, int64_t maxWork);
  NodeSetId intern_text(TextRange text);
  bool walk(int32_t node, int32_t state, int32_t count, int64_t maxWork);
  bool arrive(int32_t node, const State& state, int32_t stateIndex, int32_t count);
  void take_tokens(int32_t node);
  void take_results(int32_t count, MaskEntry& entry);
  void forget_walk();
  NodeSetId intern(std::vector<int32_t>& nodes);
  size_t scratch_bytes() const;

  const TokenTrie& trie_;
  const FreeText& freeText_;
  const Automaton& automaton_;
  StampedTable index_, textIndex_;
  std::deque<MaskEntry> entries_;
  std::deque<NodeSet> nodeSets_;
  std::unordered_multimap<uint64_t, NodeSetId> nodeSetByHash_;
  size_t bytes_ = 0;
  uint64_t mask_ = 0;

  // Of the walk that runs.
  bool needsExits_ = false;
  int64_t work_ = 0;
  std::vector<int32_t> pathStates_, pathCounts_;
  std::vector<uint32_t> tokenWords_;
  std::vector<int32_t> tokens_, exits_;
  std::vector<Arrivals> arrivals_;
  StampedTable arrivalIndex_;
};

}  // namespace inferd::grammar
