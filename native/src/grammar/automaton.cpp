#include "grammar/automaton.h"

#include <algorithm>
#include <utility>

namespace inferd::grammar {
namespace {

bool is_below(int32_t value, int32_t limit) { return value >= 0 && value < limit; }

/** `starts` are (numStates + 1) ascending offsets that cover the edges exactly. */
bool are_ranges(const std::vector<int32_t>& starts, int32_t numStates, size_t numEdges) {
  if (starts.size() != static_cast<size_t>(numStates) + 1 || starts.front() != 0 || static_cast<size_t>(starts.back()) != numEdges) return false;
  for (size_t s = 1; s < starts.size(); s++)
    if (starts[s] < starts[s - 1]) return false;
  return true;
}

bool stay_in_rule(const AutomatonTables& t, const std::vector<int32_t>& starts, const std::vector<int32_t>& targets) {
  for (int32_t s = 0; s < t.numStates; s++)
    for (int32_t edge = starts[static_cast<size_t>(s)]; edge < starts[static_cast<size_t>(s) + 1]; edge++) {
      const int32_t target = targets[static_cast<size_t>(edge)];
      if (!is_below(target, t.numStates) || t.stateRule[static_cast<size_t>(target)] != t.stateRule[static_cast<size_t>(s)]) return false;
    }
  return true;
}

bool all_below(const std::vector<int32_t>& values, int32_t limit) {
  for (const int32_t value : values)
    if (!is_below(value, limit)) return false;
  return true;
}

const char* find_rule_fault(const AutomatonTables& t) {
  if (t.numStates < 1 || t.numRules < 1 || !is_below(t.rootRule, t.numRules)) return "a grammar has a root rule and states";
  const size_t numRules = static_cast<size_t>(t.numRules), numStates = static_cast<size_t>(t.numStates);
  if (t.ruleStart.size() != numRules || t.ruleMin.size() != numRules || t.ruleMax.size() != numRules) return "a column of the rules has another length";
  if (t.stateRule.size() != numStates || t.stateFlags.size() != numStates) return "a column of the states has another length";
  if (!all_below(t.stateRule, t.numRules) || !all_below(t.ruleStart, t.numStates)) return "a rule or its start is out of range";
  for (size_t r = 0; r < numRules; r++) {
    if (t.stateRule[static_cast<size_t>(t.ruleStart[r])] != static_cast<int32_t>(r)) return "a rule starts in another rule";
    if (t.ruleMin[r] < 0 || t.ruleMax[r] < kUncounted || (t.ruleMax[r] != kUncounted && t.ruleMin[r] > t.ruleMax[r])) return "the counts of a rule exclude each other";
  }
  for (const uint8_t flags : t.stateFlags)
    if (flags > (kAccepts | kBoundary | kFreeText)) return "a state has an unknown flag";
  return nullptr;
}

const char* find_byte_fault(const AutomatonTables& t) {
  const size_t numEdges = t.byteTarget.size();
  if (t.byteFirst.size() != numEdges || t.byteLast.size() != numEdges || !are_ranges(t.byteStarts, t.numStates, numEdges)) return "the byte edges have no ranges";
  for (size_t s = 0; s < static_cast<size_t>(t.numStates); s++)
    for (size_t edge = static_cast<size_t>(t.byteStarts[s]); edge < static_cast<size_t>(t.byteStarts[s + 1]); edge++) {
      if (t.byteFirst[edge] > t.byteLast[edge]) return "a byte edge is empty";
      if (edge > static_cast<size_t>(t.byteStarts[s]) && t.byteFirst[edge] <= t.byteLast[edge - 1]) return "the byte edges of a state are not ascending";
    }
  return stay_in_rule(t, t.byteStarts, t.byteTarget) ? nullptr : "a byte edge leaves its rule";
}

void sort_token_edges(AutomatonTables& t) {
  std::vector<std::pair<int32_t, int32_t>> edges;
  for (size_t s = 0; s < static_cast<size_t>(t.numStates); s++) {
    const size_t begin = static_cast<size_t>(t.tokenStarts[s]), end = static_cast<size_t>(t.tokenStarts[s + 1]);
    edges.clear();
    for (size_t edge = begin; edge < end; edge++) edges.emplace_back(t.tokenIds[edge], t.tokenTarget[edge]);
    std::sort(edges.begin(), edges.end());
    for (size_t i = 0; i < edges.size(); i++) t.tokenIds[begin + i] = edges[i].first, t.tokenTarget[begin + i] = edges[i].second;
  }
}

template <typename ELEMENT> size_t bytes_of(const std::vector<ELEMENT>& values) { return values.capacity() * sizeof(ELEMENT); }

}  // namespace

const char* find_fault(const AutomatonTables& t, int32_t vocabSize) {
  if (const char* fault = find_rule_fault(t)) return fault;
  if (const char* fault = find_byte_fault(t)) return fault;
  if (t.callRule.size() != t.callReturn.size() || !are_ranges(t.callStarts, t.numStates, t.callRule.size())) return "the call edges have no ranges";
  if (!all_below(t.callRule, t.numRules)) return "a call names no rule";
  if (!stay_in_rule(t, t.callStarts, t.callReturn)) return "a call returns to another rule";
  if (t.tokenIds.size() != t.tokenTarget.size() || !are_ranges(t.tokenStarts, t.numStates, t.tokenIds.size())) return "the token edges have no ranges";
  if (!all_below(t.tokenIds, vocabSize)) return "a token edge names no token of the vocabulary";
  return stay_in_rule(t, t.tokenStarts, t.tokenTarget) ? nullptr : "a token edge leaves its rule";
}

Automaton::Automaton(AutomatonTables tables) : tables_(std::move(tables)) {
  sort_token_edges(tables_);
  const AutomatonTables& t = tables_;
  states_.reserve(static_cast<size_t>(t.numStates));
  for (size_t s = 0; s < static_cast<size_t>(t.numStates); s++) {
    const size_t rule = static_cast<size_t>(t.stateRule[s]);
    const bool isBoundary = (t.stateFlags[s] & kBoundary) != 0 || t.ruleStart[rule] == static_cast<int32_t>(s);
    states_.push_back({t.byteStarts[s], t.byteStarts[s + 1], t.callStarts[s], t.callStarts[s + 1], t.tokenStarts[s], t.tokenStarts[s + 1], t.ruleMin[rule],
                       t.ruleMax[rule], t.stateFlags[s], isBoundary && t.ruleMax[rule] != kUncounted});
  }
}

size_t Automaton::memory_bytes() const {
  const AutomatonTables& t = tables_;
  size_t bytes = bytes_of(states_) + bytes_of(t.stateFlags) + bytes_of(t.byteFirst) + bytes_of(t.byteLast);
  for (const std::vector<int32_t>* column : {&t.ruleStart, &t.ruleMin, &t.ruleMax, &t.stateRule, &t.byteStarts, &t.byteTarget, &t.callStarts, &t.callRule,
                                             &t.callReturn, &t.tokenStarts, &t.tokenIds, &t.tokenTarget})
    bytes += bytes_of(*column);
  return bytes;
}

}  // namespace inferd::grammar
