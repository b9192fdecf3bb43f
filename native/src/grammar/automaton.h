// The tables of src/engine/grammar/automaton.ts, checked once and then trusted, with what a step asks of a state laid side by side.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace inferd::grammar {

/** UNCOUNTED and UNBOUNDED of automaton.ts. */
constexpr int32_t kUncounted = -1, kUnbounded = 0x7fffffff;
/** ACCEPTS, BOUNDARY and FREE_TEXT of automaton.ts. */
constexpr uint8_t kAccepts = 1, kBoundary = 2, kFreeText = 4;

/** Columns of automaton.ts, in its words. */
struct AutomatonTables {
  int32_t numStates = 0, numRules = 0, rootRule = 0;
  bool matchesEmpty = false;
  std::vector<int32_t> ruleStart, ruleMin, ruleMax, stateRule;
  std::vector<uint8_t> stateFlags;
  std::vector<int32_t> byteStarts;
  std::vector<uint8_t> byteFirst, byteLast;
  std::vector<int32_t> byteTarget, callStarts, callRule, callReturn, tokenStarts, tokenIds, tokenTarget;
};

/** What is wrong with the tables, or null. Tables without a fault never lead outside of themselves, nor to a token outside of the vocabulary. */
const char* find_fault(const AutomatonTables& tables, int32_t vocabSize);

struct State {
  /** Ranges of the edges of each kind. */
  int32_t byteBegin, byteEnd, callBegin, callEnd, tokenBegin, tokenEnd;
  /** The rule's; ruleMax kUncounted where it has no count. */
  int32_t ruleMin, ruleMax;
  uint8_t flags;
  /** A boundary of a counted rule: may only be left below ruleMax. */
  bool isGate;

  bool has_edges() const { return byteBegin < byteEnd || callBegin < callEnd || tokenBegin < tokenEnd; }
  bool may_leave(int32_t count) const { return !isGate || ruleMax == kUnbounded || count < ruleMax; }
  /** Without asking whether the rule has read anything yet. */
  bool may_end(int32_t count) const { return (flags & kAccepts) != 0 && (ruleMax == kUncounted || (isGate && count >= ruleMin)); }
  /** The count behind an arrival. That of an unbounded rule stops at ruleMin, so that equal futures are equal configurations. */
  int32_t count_on_arrival(int32_t count) const {
    if ((flags & kBoundary) == 0 || ruleMax == kUncounted || (ruleMax == kUnbounded && count >= ruleMin)) return count;
    return count + 1;
  }
};

class Automaton {
 public:
  /** Tables without a fault. */
  explicit Automaton(AutomatonTables tables);

  /** The token edges of a state ascend by token. */
  const AutomatonTables& tables() const { return tables_; }
  const State& state(int32_t state) const { return states_[static_cast<size_t>(state)]; }
  int32_t rule_start(int32_t rule) const { return tables_.ruleStart[static_cast<size_t>(rule)]; }
  int32_t root_start() const { return rule_start(tables_.rootRule); }
  size_t memory_bytes() const;

  /** The target of the byte edge, or -1. */
  int32_t target(const State& state, uint8_t byte) const {
    int32_t low = state.byteBegin, high = state.byteEnd;
    while (high - low > 4) {
      const int32_t middle = (low + high) / 2;
      if (tables_.byteFirst[static_cast<size_t>(middle)] <= byte) low = middle;
      else high = middle;
    }
    for (int32_t edge = low; edge < high; edge++) {
      const size_t e = static_cast<size_t>(edge);
      if (byte < tables_.byteFirst[e]) return -1;
      if (byte <= tables_.byteLast[e]) return tables_.byteTarget[e];
    }
    return -1;
  }

 private:
  AutomatonTables tables_;
  std::vector<State> states_;
};

}  // namespace inferd::grammar
