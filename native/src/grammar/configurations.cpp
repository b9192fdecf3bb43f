#include "grammar/configurations.h"

#include <algorithm>

namespace inferd::grammar {

void ConfigurationArena::compact(Position& position) {
  configurations.erase(configurations.begin(), configurations.begin() + static_cast<ptrdiff_t>(position.begin));
  position = {0, configurations.size(), position.canEnd};
  // -1: unreachable. Parents may be younger than the frame that they called, at the same position, so that one pass is not enough.
  std::vector<int32_t> newIds(frames.size(), -1), pending;
  const auto reach = [&](int32_t frame) {
    if (newIds[static_cast<size_t>(frame)] >= 0) return;
    newIds[static_cast<size_t>(frame)] = 0;
    pending.push_back(frame);
  };
  for (const Configuration& at : configurations) reach(at.frame);
  while (!pending.empty()) {
    const int32_t frame = pending.back();
    pending.pop_back();
    for (int32_t c = frames[static_cast<size_t>(frame)].firstCaller; c >= 0; c = callers[static_cast<size_t>(c)].next)
      if (callers[static_cast<size_t>(c)].returnState != kTextEnd) reach(callers[static_cast<size_t>(c)].parent);
  }
  std::vector<Frame> liveFrames;
  std::vector<Caller> liveCallers;
  int32_t numLive = 0;
  for (int32_t& id : newIds)
    if (id >= 0) id = numLive++;
  liveFrames.reserve(static_cast<size_t>(numLive));
  for (size_t f = 0; f < frames.size(); f++) {
    if (newIds[f] < 0) continue;
    const int32_t first = frames[f].firstCaller < 0 ? -1 : static_cast<int32_t>(liveCallers.size());
    for (int32_t c = frames[f].firstCaller; c >= 0; c = callers[static_cast<size_t>(c)].next) {
      const Caller& caller = callers[static_cast<size_t>(c)];
      const int32_t next = caller.next < 0 ? -1 : static_cast<int32_t>(liveCallers.size()) + 1;
      liveCallers.push_back({caller.returnState, caller.count, caller.returnState == kTextEnd ? -1 : newIds[static_cast<size_t>(caller.parent)], next});
    }
    liveFrames.push_back({first, 0});
  }
  for (Configuration& at : configurations) at.frame = newIds[static_cast<size_t>(at.frame)];
  configurations.shrink_to_fit();
  frames.swap(liveFrames);
  callers.swap(liveCallers);
}

Stepper::Stepper(const Automaton& automaton) : automaton_(automaton), frameOfRule_(static_cast<size_t>(automaton.tables().numRules)) {}

bool Stepper::start(ConfigurationArena& arena, Position& position) {
  begin(arena, position);
  // The root's frame belongs to this position, so that calls of the root share it and nothing ends here.
  frameOfRule_[static_cast<size_t>(automaton_.tables().rootRule)] = {round_, 0};
  arena.frames.push_back({0, 0});
  arena.callers.push_back({kTextEnd, 0, -1, -1});
  add(arena, automaton_.root_start(), 0, 0);
  if (!close(arena, position)) return false;
  position.canEnd = automaton_.tables().matchesEmpty;
  return true;
}

void Stepper::begin(ConfigurationArena& arena, Position& position) {
  configurations_.clear();
  callers_.clear();
  round_++;
  firstFrame_ = arena.frames.size();
  position = {arena.configurations.size(), arena.configurations.size(), false};
}

void Stepper::move_byte(ConfigurationArena& arena, const Position& from, uint8_t byte) {
  for (size_t i = from.begin; i < from.end; i++) {
    const Configuration at = arena.configurations[i];
    const State& state = automaton_.state(at.state);
    if (state.byteBegin == state.byteEnd || !state.may_leave(at.count)) continue;
    const int32_t target = automaton_.target(state, byte);
    if (target >= 0) add(arena, target, automaton_.state(target).count_on_arrival(at.count), at.frame);
  }
  work_ += static_cast<int64_t>(from.end - from.begin);
}

void Stepper::move_token(ConfigurationArena& arena, const Position& from, int32_t token) {
  const AutomatonTables& t = automaton_.tables();
  for (size_t i = from.begin; i < from.end; i++) {
    const Configuration at = arena.configurations[i];
    const State& state = automaton_.state(at.state);
    if (!state.may_leave(at.count)) continue;
    const auto first = t.tokenIds.begin() + state.tokenBegin, last = t.tokenIds.begin() + state.tokenEnd;
    for (auto id = std::lower_bound(first, last, token); id != last && *id == token; ++id) {
      const ptrdiff_t edge = id - t.tokenIds.begin();
      const int32_t target = t.tokenTarget[static_cast<size_t>(edge)];
      add(arena, target, automaton_.state(target).count_on_arrival(at.count), at.frame);
    }
  }
  work_ += static_cast<int64_t>(from.end - from.begin);
}

bool Stepper::close(ConfigurationArena& arena, Position& position) {
  const AutomatonTables& t = automaton_.tables();
  const int64_t maxWork = work_ + kMaxPositionWork;
  for (size_t i = position.begin; i < arena.configurations.size(); i++) {
    const Configuration at = arena.configurations[i];
    const State& state = automaton_.state(at.state);
    if (static_cast<size_t>(at.frame) < firstFrame_ && state.may_end(at.count)) end_frame(arena, at.frame, position);
    if (state.callBegin < state.callEnd && state.may_leave(at.count))
      for (int32_t edge = state.callBegin; edge < state.callEnd; edge++)
        call(arena, at, t.callRule[static_cast<size_t>(edge)], t.callReturn[static_cast<size_t>(edge)]);
    work_++;
    if (arena.configurations.size() - position.begin > static_cast<size_t>(kMaxConfigurations) || work_ > maxWork) return false;
  }
  position.end = arena.configurations.size();
  return true;
}

void Stepper::trim() {
  constexpr size_t kKeptBytes = 1 << 20;
  for (StampedTable* table : {&configurations_, &callers_})
    if (table->memory_bytes() > kKeptBytes) table->shrink();
}

void Stepper::add(ConfigurationArena& arena, int32_t state, int32_t count, int32_t frame) {
  if (configurations_.insert({state, count, frame, 0})) arena.configurations.push_back({state, count, frame});
}

void Stepper::add_caller(ConfigurationArena& arena, int32_t frame, const Caller& caller) {
  work_++;
  if (!callers_.insert({frame, caller.returnState, caller.count, caller.parent})) return;
  int32_t& first = arena.frames[static_cast<size_t>(frame)].firstCaller;
  arena.callers.push_back({caller.returnState, caller.count, caller.parent, first});
  first = static_cast<int32_t>(arena.callers.size()) - 1;
}

void Stepper::end_frame(ConfigurationArena& arena, int32_t index, Position& position) {
  Frame& frame = arena.frames[static_cast<size_t>(index)];
  if (frame.endedAt == round_) return;
  frame.endedAt = round_;
  for (int32_t c = frame.firstCaller; c >= 0; c = arena.callers[static_cast<size_t>(c)].next) {
    const Caller& caller = arena.callers[static_cast<size_t>(c)];
    if (caller.returnState == kTextEnd) position.canEnd = true;
    else add(arena, caller.returnState, caller.count, caller.parent);
    work_++;
  }
}

void Stepper::call(ConfigurationArena& arena, const Configuration& from, int32_t rule, int32_t returnState) {
  RuleFrame& called = frameOfRule_[static_cast<size_t>(rule)];
  if (called.round != round_) {
    called = {round_, static_cast<int32_t>(arena.frames.size())};
    arena.frames.push_back({-1, 0});
    add(arena, automaton_.rule_start(rule), 0, called.frame);
  }
  const State& behind = automaton_.state(returnState);
  const int32_t count = behind.count_on_arrival(from.count);
  // Nothing but the end of our own rule can follow: the callee returns to our callers at once, so that right recursion makes no chain.
  const bool isTailCall = static_cast<size_t>(from.frame) < firstFrame_ && !behind.has_edges() && behind.may_end(count);
  if (!isTailCall) {
    add_caller(arena, called.frame, {returnState, count, from.frame, -1});
    return;
  }
  for (int32_t c = arena.frames[static_cast<size_t>(from.frame)].firstCaller; c >= 0;) {
    const Caller caller = arena.callers[static_cast<size_t>(c)];
    add_caller(arena, called.frame, caller);
    c = caller.next;
  }
}

}  // namespace inferd::grammar
