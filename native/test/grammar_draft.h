// Automata and vocabularies written by hand, for the tests of the grammar core.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grammar/matcher.h"

namespace inferd::test {

/** Tables by rule and state, edges in any order. */
class Draft {
 public:
  int32_t rule(int32_t min = 0, int32_t max = grammar::kUncounted) {
    rules_.push_back({-1, min, max});
    return static_cast<int32_t>(rules_.size()) - 1;
  }
  int32_t state(int32_t rule, uint8_t flags = 0) {
    const int32_t state = static_cast<int32_t>(states_.size());
    states_.push_back({rule, flags, std::vector<int32_t>(256, -1), {}, {}});
    if (rules_[static_cast<size_t>(rule)].start < 0) rules_[static_cast<size_t>(rule)].start = state;
    return state;
  }
  void byte(int32_t from, char byte, int32_t target) { states_[static_cast<size_t>(from)].targets[static_cast<uint8_t>(byte)] = target; }
  void call(int32_t from, int32_t rule, int32_t returnState) { states_[static_cast<size_t>(from)].calls.push_back({rule, returnState}); }
  void token(int32_t from, int32_t token, int32_t target) { states_[static_cast<size_t>(from)].tokens.push_back({token, target}); }

  grammar::AutomatonTables build(int32_t rootRule = 0) const {
    grammar::AutomatonTables t;
    t.numStates = static_cast<int32_t>(states_.size());
    t.numRules = static_cast<int32_t>(rules_.size());
    t.rootRule = rootRule;
    for (const RuleDraft& rule : rules_) t.ruleStart.push_back(rule.start), t.ruleMin.push_back(rule.min), t.ruleMax.push_back(rule.max);
    t.byteStarts = t.callStarts = t.tokenStarts = {0};
    for (const StateDraft& state : states_) {
      t.stateRule.push_back(state.rule);
      t.stateFlags.push_back(state.flags);
      for (int32_t byte = 0; byte < 256; byte++) {
        if (state.targets[static_cast<size_t>(byte)] < 0) continue;
        t.byteFirst.push_back(static_cast<uint8_t>(byte));
        t.byteLast.push_back(static_cast<uint8_t>(byte));
        t.byteTarget.push_back(state.targets[static_cast<size_t>(byte)]);
      }
      for (const auto& [rule, returnState] : state.calls) t.callRule.push_back(rule), t.callReturn.push_back(returnState);
      for (const auto& [token, target] : state.tokens) t.tokenIds.push_back(token), t.tokenTarget.push_back(target);
      t.byteStarts.push_back(static_cast<int32_t>(t.byteTarget.size()));
      t.callStarts.push_back(static_cast<int32_t>(t.callRule.size()));
      t.tokenStarts.push_back(static_cast<int32_t>(t.tokenIds.size()));
    }
    return t;
  }

 private:
  struct RuleDraft {
    int32_t start, min, max;
  };
  struct StateDraft {
    int32_t rule;
    uint8_t flags;
    std::vector<int32_t> targets;
    std::vector<std::pair<int32_t, int32_t>> calls, tokens;
  };
  std::vector<RuleDraft> rules_;
  std::vector<StateDraft> states_;
};

inline std::shared_ptr<const grammar::Vocabulary> vocabulary_of(const std::vector<std::string>& tokens) {
  std::vector<uint8_t> bytes;
  std::vector<int32_t> starts{0};
  for (const std::string& token : tokens) {
    bytes.insert(bytes.end(), token.begin(), token.end());
    starts.push_back(static_cast<int32_t>(bytes.size()));
  }
  return std::make_shared<const grammar::Vocabulary>(std::move(bytes), std::move(starts));
}

}  // namespace inferd::test
