#include "grammar/mask_cache.h"

#include <algorithm>
#include <utility>

namespace inferd::grammar {
namespace {

template <typename ELEMENT> size_t bytes_of(const std::vector<ELEMENT>& values) { return values.capacity() * sizeof(ELEMENT); }

uint64_t hash_nodes(const std::vector<int32_t>& nodes) {
  uint64_t hash = nodes.size();
  for (const int32_t node : nodes) hash = (hash ^ static_cast<uint32_t>(node)) * 0x9e3779b97f4a7c15u, hash ^= hash >> 29;
  return hash;
}

}  // namespace

MaskCache::MaskCache(const TokenTrie& trie, const FreeText& freeText, const Automaton& automaton)
    : trie_(trie), freeText_(freeText), automaton_(automaton), pathStates_(static_cast<size_t>(trie.max_token_bytes()) + 1),
      pathCounts_(static_cast<size_t>(trie.max_token_bytes()) + 1), tokenWords_((static_cast<size_t>(trie.vocab_size()) + 31) / 32) {
  clear();
}

void MaskCache::clear() {
  if (entries_.empty() && nodeSets_.size() == 1) return;
  index_.clear();
  index_.shrink();
  textIndex_.clear();
  textIndex_.shrink();
  entries_.clear();
  nodeSets_.clear();
  nodeSetByHash_.clear();
  bytes_ = 0;
  std::vector<int32_t> root{kTrieRoot};
  intern(root);
}

/** Counts that differ only beyond the reach of the longest token are the same to a mask. */
TableKey MaskCache::key_of(NodeSetId nodes, int32_t stateIndex, int32_t count, bool needsExits) const {
  const State& state = automaton_.state(stateIndex);
  const int32_t reach = trie_.max_token_bytes(), flagged = stateIndex * 2 + (needsExits ? 1 : 0);
  if (state.ruleMax == kUncounted) return {nodes, flagged, 0, 0};
  const int32_t remaining = state.ruleMax == kUnbounded ? reach : std::clamp(state.ruleMax - count, 0, reach);
  return {nodes, flagged, std::clamp(state.ruleMin - count, 0, reach), remaining};
}

const MaskEntry* MaskCache::entry(NodeSetId nodes, int32_t state, int32_t count, bool needsExits, int64_t& work, int64_t maxWork) {
  const TableKey key = key_of(nodes, state, count, needsExits);
  const int32_t known = index_.find(key);
  if (known >= 0) {
    MaskEntry& entry = entries_[static_cast<size_t>(known)];
    if (entry.countedIn == mask_) return &entry;
    if (entry.work > maxWork - work) return nullptr;
    entry.countedIn = mask_;
    work += entry.work;
    return &entry;
  }
  MaskEntry entry;
  if (!compute(nodes, state, count, needsExits, maxWork - work, entry)) return nullptr;
  entry.countedIn = mask_;
  work += entry.work;
  bytes_ += sizeof(MaskEntry) + bytes_of(entry.tokens) + bytes_of(entry.words) + bytes_of(entry.calls);
  // First the entry, then who points at it: memory may be refused between them.
  entries_.push_back(std::move(entry));
  index_.find_or_insert(key, static_cast<int32_t>(entries_.size()) - 1);
  return &entries_.back();
}

bool MaskCache::compute(NodeSetId nodes, int32_t stateIndex, int32_t count, bool needsExits, int64_t maxWork, MaskEntry& entry) {
  const State& state = automaton_.state(stateIndex);
  needsExits_ = needsExits;
  work_ = 0;
  forget_walk();
  const bool isFreeText = nodes == kRootNodes && (state.flags & kFreeText) != 0 && state.callBegin == state.callEnd;
  const bool isDone = isFreeText ? walk_free_text(stateIndex, count, maxWork, entry) : walk_nodes(nodes, stateIndex, count, maxWork);
  if (isDone) take_results(count, entry);
  entry.work = work_;
  return isDone;
}

/** What the last walk noted, however it ended. */
void MaskCache::forget_walk() {
  for (const int32_t token : tokens_) tokenWords_[static_cast<size_t>(token >> 5)] = 0;
  tokens_.clear();
  exits_.clear();
  arrivals_.clear();
  arrivalIndex_.clear();
}

/** At the root of the trie, in a state that free text leads back to: what is made of it alone is known, and only the stops are left to look at. */
bool MaskCache::walk_free_text(int32_t stateIndex, int32_t count, int64_t maxWork, MaskEntry& entry) {
  const State& state = automaton_.state(stateIndex);
  const bool grows = state.isGate && (state.flags & kBoundary) != 0;
  const int32_t longest = freeText_.max_code_points();
  const int32_t room = grows && state.ruleMax != kUnbounded ? std::clamp(state.ruleMax - count, 0, longest) : longest;
  entry.freeCodePoints = room;
  const bool mayEnd = (state.flags & kAccepts) != 0 && (state.ruleMax == kUncounted || (state.isGate && (grows || count >= state.ruleMin)));
  const int32_t first = std::max(1, grows ? state.ruleMin - count : 1);
  if (needsExits_ && mayEnd && first <= room) entry.textExits = intern_text({first, room});
  // Behind one code point or more the counts are all the same, or the suffixes are looked at token by token.
  const bool isSettled = !grows || (state.ruleMax == kUnbounded && state.ruleMin - count <= 1);
  if (!isSettled) return walk_stops(stateIndex, count, {0, freeText_.max_stop_code_points()}, true, maxWork);
  if (!walk_stops(stateIndex, count, {0, 0}, false, maxWork)) return false;
  return walk(trie_.suffix_root(), stateIndex, grows ? std::max(count, state.ruleMin) : count, maxWork);
}

/** The subtrees of the stops behind so much free text, from a state that leads nowhere else; `grows`: the text counts in its rule. */
bool MaskCache::walk_stops(int32_t stateIndex, int32_t count, TextRange text, bool grows, int64_t maxWork) {
  const AutomatonTables& t = automaton_.tables();
  const State& state = automaton_.state(stateIndex);
  for (size_t edge = static_cast<size_t>(state.byteBegin); edge < static_cast<size_t>(state.byteEnd); edge++)
    for (int32_t byte = t.byteFirst[edge]; byte <= t.byteLast[edge]; byte++)
      if (!walk_stops_of(static_cast<uint8_t>(byte), stateIndex, count, text, grows, maxWork)) return false;
  return true;
}

bool MaskCache::walk_stops_of(uint8_t byte, int32_t stateIndex, int32_t count, TextRange text, bool grows, int64_t maxWork) {
  const State& state = automaton_.state(stateIndex);
  const int32_t target = automaton_.target(state, byte);
  const int32_t room = state.ruleMax == kUnbounded ? std::max(0, state.ruleMin - count) : kUnbounded - count;
  const std::vector<TextStop>& stops = freeText_.stops(byte);
  auto stop = std::lower_bound(stops.begin(), stops.end(), text.first, [](const TextStop& at, int32_t first) { return at.codePoints < first; });
  for (; stop != stops.end() && stop->codePoints <= text.last; ++stop) {
    if (++work_ > maxWork) return false;
    const int32_t countThere = grows ? count + std::min(stop->codePoints, room) : count;
    if (!state.may_leave(countThere)) continue;
    const int32_t behind = automaton_.state(target).count_on_arrival(countThere);
    take_tokens(stop->node);
    if (trie_.is_leaf(stop->node) || !arrive(stop->node, automaton_.state(target), target, behind)) continue;
    if (!walk(stop->node, target, behind, maxWork)) return false;
  }
  return true;
}

bool MaskCache::walk_nodes(NodeSetId id, int32_t stateIndex, int32_t count, int64_t maxWork) {
  const AutomatonTables& t = automaton_.tables();
  const State& state = automaton_.state(stateIndex);
  NodeSet& set = nodeSets_[static_cast<size_t>(id)];
  bool readsOnlyStops = set.isText;
  for (size_t edge = static_cast<size_t>(state.byteBegin); readsOnlyStops && edge < static_cast<size_t>(state.byteEnd); edge++)
    for (int32_t byte = t.byteFirst[edge]; byte <= t.byteLast[edge]; byte++) readsOnlyStops = readsOnlyStops && FreeText::is_stop(static_cast<uint8_t>(byte));
  if (readsOnlyStops && set.text.first == 1 && set.text.last >= freeText_.max_stop_code_points()) return walk(trie_.suffix_root(), stateIndex, count, maxWork);
  if (readsOnlyStops) return walk_stops(stateIndex, count, set.text, false, maxWork);
  if (!set.isListed) {
    set.nodes = FreeText::nodes_behind_text(trie_, set.text.first, set.text.last);
    set.isListed = true;
    bytes_ += bytes_of(set.nodes);
  }
  // What listing them costs is the same whoever did it.
  if (set.isText) work_ += trie_.node(kTrieRoot).end;
  for (const int32_t node : set.nodes)
    if (work_ > maxWork || !walk(node, stateIndex, count, maxWork)) return false;
  return true;
}

/** The subtree below a node at which the rule stands in `state`. */
bool MaskCache::walk(int32_t from, int32_t stateIndex, int32_t count, int64_t maxWork) {
  const TrieNode& top = trie_.node(from);
  pathStates_[static_cast<size_t>(top.depth)] = stateIndex;
  pathCounts_[static_cast<size_t>(top.depth)] = count;
  for (int32_t i = from + 1; i < top.end;) {
    const TrieNode& node = trie_.node(i);
    const size_t depth = static_cast<size_t>(node.depth);
    if (++work_ > maxWork) return false;
    const int32_t target = automaton_.target(automaton_.state(pathStates_[depth - 1]), node.byte);
    if (target < 0) {
      i = node.end;
      continue;
    }
    const State& state = automaton_.state(target);
    const int32_t behind = state.count_on_arrival(pathCounts_[depth - 1]);
    take_tokens(i);
    if (node.end == i + 1 || !arrive(i, state, target, behind)) {
      i = node.end;
      continue;
    }
    pathStates_[depth] = target;
    pathCounts_[depth] = behind;
    i++;
  }
  return true;
}

/** Notes what a caller or a called rule may go on with. Whether the walk goes on below. */
bool MaskCache::arrive(int32_t node, const State& state, int32_t stateIndex, int32_t count) {
  if (needsExits_ && state.may_end(count)) exits_.push_back(node);
  if (!state.may_leave(count)) return false;
  if (state.callBegin < state.callEnd) {
    const StampedTable::Found found = arrivalIndex_.find_or_insert({stateIndex, count, 0, 0}, static_cast<int32_t>(arrivals_.size()));
    if (found.isNew) arrivals_.push_back({stateIndex, count, {}});
    arrivals_[static_cast<size_t>(found.value)].nodes.push_back(node);
  }
  return state.byteBegin < state.byteEnd;
}

/** A token can come twice: a set may hold a node and one below it. */
void MaskCache::take_tokens(int32_t node) {
  for (const int32_t* token = trie_.tokens_begin(node); token < trie_.tokens_end(node); token++) {
    uint32_t& word = tokenWords_[static_cast<size_t>(*token >> 5)];
    const uint32_t bit = 1u << (*token & 31);
    if ((word & bit) != 0) continue;
    tokens_.push_back(*token);
    word |= bit;
  }
}

void MaskCache::take_results(int32_t count, MaskEntry& entry) {
  if (tokens_.size() > tokenWords_.size()) {
    entry.words.assign(tokenWords_.begin(), tokenWords_.end());
  } else {
    entry.tokens.assign(tokens_.begin(), tokens_.end());
  }
  if (!exits_.empty()) entry.exits = intern(exits_);
  for (Arrivals& arrival : arrivals_) entry.calls.push_back({arrival.state, arrival.count - count, intern(arrival.nodes)});
}

NodeSetId MaskCache::intern(std::vector<int32_t>& nodes) {
  // Subtrees of a set overlap: then there are many more notes than nodes, and in no order.
  if (!std::is_sorted(nodes.begin(), nodes.end())) {
    std::sort(nodes.begin(), nodes.end());
    work_ += 2 * static_cast<int64_t>(nodes.size());
  }
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  const uint64_t hash = hash_nodes(nodes);
  const auto [first, last] = nodeSetByHash_.equal_range(hash);
  for (auto at = first; at != last; ++at)
    if (nodeSets_[static_cast<size_t>(at->second)].nodes == nodes) return at->second;
  const NodeSetId id = static_cast<NodeSetId>(nodeSets_.size());
  nodeSets_.emplace_back().nodes.assign(nodes.begin(), nodes.end());
  nodeSetByHash_.emplace(hash, id);
  // The set, its nodes, and about what a node of the hash table takes.
  bytes_ += sizeof(NodeSet) + bytes_of(nodeSets_.back().nodes) + 48;
  return id;
}

NodeSetId MaskCache::intern_text(TextRange text) {
  const TableKey key{text.first, text.last, 0, 0};
  const NodeSetId known = textIndex_.find(key);
  if (known >= 0) return known;
  NodeSet& set = nodeSets_.emplace_back();
  set.text = text;
  set.isText = true;
  set.isListed = false;
  bytes_ += sizeof(NodeSet);
  textIndex_.find_or_insert(key, static_cast<NodeSetId>(nodeSets_.size()) - 1);
  return static_cast<NodeSetId>(nodeSets_.size()) - 1;
}

size_t MaskCache::scratch_bytes() const {
  return bytes_of(pathStates_) + bytes_of(pathCounts_) + bytes_of(tokenWords_) + bytes_of(tokens_) + bytes_of(exits_) + arrivalIndex_.memory_bytes();
}

}  // namespace inferd::grammar
