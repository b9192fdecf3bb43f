#include "grammar/mask_composer.h"

#include <algorithm>

namespace inferd::grammar {

MaskComposer::MaskComposer(const Automaton& automaton, const TokenTrie& trie, const FreeText& freeText, MaskCache& cache)
    : automaton_(automaton), freeText_(freeText), cache_(cache), maxWork_(std::max(kMaxComposedWork, kMaxComposedTries * trie.num_nodes())) {}

bool MaskComposer::fill(const ConfigurationArena& arena, const Position& position, uint32_t* words) {
  arena_ = &arena;
  cache_.begin_mask();
  items_.clear();
  frames_.clear();
  callers_.clear();
  ends_.clear();
  for (StampedTable* table : {&arrived_, &ended_, &frameIndex_, &callerIndex_}) table->clear();
  freeCodePoints_ = 0;
  work_ = 0;
  for (size_t i = position.begin; i < position.end; i++) {
    const Configuration& at = arena.configurations[i];
    items_.push_back({at.state, at.count, at.frame, kRootNodes, Stage::kClosed});
  }
  while (!items_.empty()) {
    const Item item = items_.back();
    items_.pop_back();
    work_ += kItemWork;
    if (work_ > maxWork_ || !process(item, words)) return false;
  }
  if (freeCodePoints_ > 0) freeText_.fill(freeCodePoints_, words);
  return true;
}

bool MaskComposer::process(const Item& item, uint32_t* words) {
  const State& state = automaton_.state(item.state);
  if (item.stage == Stage::kArrived && state.may_end(item.count)) end_frame(item.frame, item.nodes);
  if (!state.may_leave(item.count)) return true;
  if (item.stage != Stage::kClosed && state.callBegin < state.callEnd) take_calls(item.state, item.count, item.frame, item.nodes);
  if (state.byteBegin == state.byteEnd) return true;
  const MaskEntry* entry = cache_.entry(item.nodes, item.state, item.count, needs_exits(item.frame), work_, maxWork_);
  if (entry == nullptr) return false;
  take_tokens(*entry, words);
  if (entry->textExits != kNoNodes) end_frame(item.frame, entry->textExits);
  if (entry->exits != kNoNodes) end_frame(item.frame, entry->exits);
  for (const CallSite& site : entry->calls) take_calls(site.state, item.count + site.countGrowth, item.frame, site.nodes);
  return true;
}

void MaskComposer::take_tokens(const MaskEntry& entry, uint32_t* words) {
  for (const int32_t token : entry.tokens) words[token >> 5] |= 1u << (token & 31);
  for (size_t w = 0; w < entry.words.size(); w++) words[w] |= entry.words[w];
  work_ += static_cast<int64_t>(entry.tokens.size() + entry.words.size() / 8);
  freeCodePoints_ = std::max(freeCodePoints_, entry.freeCodePoints);
}

void MaskComposer::take_calls(int32_t stateIndex, int32_t count, int32_t frame, NodeSetId nodes) {
  const AutomatonTables& t = automaton_.tables();
  const State& state = automaton_.state(stateIndex);
  const int32_t numPast = static_cast<int32_t>(arena_->frames.size());
  for (int32_t edge = state.callBegin; edge < state.callEnd && work_ <= maxWork_; edge++) {
    work_ += kTableWork;
    const int32_t rule = t.callRule[static_cast<size_t>(edge)], returnState = t.callReturn[static_cast<size_t>(edge)];
    const StampedTable::Found called = frameIndex_.find_or_insert({rule, nodes, 0, 0}, static_cast<int32_t>(frames_.size()));
    if (called.isNew) {
      frames_.push_back({-1, -1});
      items_.push_back({automaton_.rule_start(rule), 0, numPast + called.value, nodes, Stage::kCalled});
    }
    AheadFrame& callee = frames_[static_cast<size_t>(called.value)];
    const Caller caller{returnState, automaton_.state(returnState).count_on_arrival(count), frame, callee.firstCaller};
    if (!callerIndex_.insert({called.value, caller.returnState, caller.count, caller.parent})) continue;
    callee.firstCaller = static_cast<int32_t>(callers_.size());
    callers_.push_back(caller);
    for (int32_t e = callee.firstEnd; e >= 0; e = ends_[static_cast<size_t>(e)].next) arrive(caller, ends_[static_cast<size_t>(e)].nodes);
  }
}

void MaskComposer::end_frame(int32_t frame, NodeSetId nodes) {
  if (!ended_.insert({frame, nodes, 0, 0})) return;
  const int32_t numPast = static_cast<int32_t>(arena_->frames.size());
  if (frame < numPast) {
    for (int32_t c = arena_->frames[static_cast<size_t>(frame)].firstCaller; c >= 0; c = arena_->callers[static_cast<size_t>(c)].next)
      arrive(arena_->callers[static_cast<size_t>(c)], nodes);
    return;
  }
  AheadFrame& ahead = frames_[static_cast<size_t>(frame - numPast)];
  ends_.push_back({nodes, ahead.firstEnd});
  ahead.firstEnd = static_cast<int32_t>(ends_.size()) - 1;
  for (int32_t c = ahead.firstCaller; c >= 0; c = callers_[static_cast<size_t>(c)].next) arrive(callers_[static_cast<size_t>(c)], nodes);
}

void MaskComposer::arrive(const Caller& caller, NodeSetId nodes) {
  work_ += kTableWork;
  if (caller.returnState == kTextEnd || !arrived_.insert({caller.returnState, caller.count, caller.parent, nodes})) return;
  items_.push_back({caller.returnState, caller.count, caller.parent, nodes, Stage::kArrived});
}

/** The end of the text has no use for the nodes where its rule may end. */
bool MaskComposer::needs_exits(int32_t frame) const {
  if (static_cast<size_t>(frame) >= arena_->frames.size()) return true;
  for (int32_t c = arena_->frames[static_cast<size_t>(frame)].firstCaller; c >= 0; c = arena_->callers[static_cast<size_t>(c)].next)
    if (arena_->callers[static_cast<size_t>(c)].returnState != kTextEnd) return true;
  return false;
}

size_t MaskComposer::memory_bytes() const {
  return items_.capacity() * sizeof(Item) + frames_.capacity() * sizeof(AheadFrame) + callers_.capacity() * sizeof(Caller) + ends_.capacity() * sizeof(End) +
         arrived_.memory_bytes() + ended_.memory_bytes() + frameIndex_.memory_bytes() + callerIndex_.memory_bytes();
}

void MaskComposer::trim() {
  constexpr size_t kKeptBytes = 4 << 20;
  if (memory_bytes() <= kKeptBytes) return;
  std::vector<Item>().swap(items_);
  std::vector<AheadFrame>().swap(frames_);
  std::vector<Caller>().swap(callers_);
  std::vector<End>().swap(ends_);
  for (StampedTable* table : {&arrived_, &ended_, &frameIndex_, &callerIndex_}) table->shrink();
}

}  // namespace inferd::grammar
