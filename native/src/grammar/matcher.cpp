#include "grammar/matcher.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace inferd::grammar {
namespace {

constexpr size_t kMinCompactAt = 512;

}  // namespace

Grammar::Grammar(std::shared_ptr<const Vocabulary> vocabulary, AutomatonTables tables, size_t maxCacheBytes)
    : vocabulary_(std::move(vocabulary)), automaton_(std::move(tables)), stepper_(automaton_), cache_(vocabulary_->trie, vocabulary_->freeText, automaton_),
      composer_(automaton_, vocabulary_->trie, vocabulary_->freeText, cache_), maxCacheBytes_(maxCacheBytes) {}

void Grammar::settle() {
  if (cache_.memory_bytes() > maxCacheBytes_) cache_.clear();
  composer_.trim();
  stepper_.trim();
}

Matcher::Matcher(std::shared_ptr<Grammar> grammar) : grammar_(std::move(grammar)), compactAt_(kMinCompactAt) {
  isTooAmbiguous_ = !grammar_->stepper().start(arena_, at_);
}

Answer Matcher::accept(int32_t token) {
  if (isTooAmbiguous_) return Answer::kTooAmbiguous;
  const ConfigurationArena::Mark mark = arena_.mark();
  Position at = at_;
  const Answer answer = read_token(token, at);
  if (answer != Answer::kYes) {
    arena_.cut(mark);
    grammar_->settle();
    return answer;
  }
  at_ = at;
  const size_t numEntries = arena_.frames.size() + arena_.callers.size();
  if (numEntries > compactAt_) {
    arena_.compact(at_);
    compactAt_ = std::max(kMinCompactAt, 2 * (arena_.frames.size() + arena_.callers.size()));
  } else {
    arena_.configurations.erase(arena_.configurations.begin(), arena_.configurations.begin() + static_cast<ptrdiff_t>(at_.begin));
    at_ = {0, arena_.configurations.size(), at_.canEnd};
  }
  return Answer::kYes;
}

Answer Matcher::read_token(int32_t token, Position& at) {
  Stepper& stepper = grammar_->stepper();
  const TokenTrie& trie = grammar_->trie();
  const uint8_t* bytes = trie.token_bytes(token);
  const int32_t length = trie.token_length(token);
  const Position start = at;
  const int64_t maxWork = stepper.work() + std::max<int64_t>(kMaxReadWork, int64_t{32} * length);
  for (int32_t i = 0; i + 1 < length; i++) {
    const Answer answer = step(at, bytes[i]);
    if (answer == Answer::kTooAmbiguous || stepper.work() > maxWork) return Answer::kTooAmbiguous;
    if (answer == Answer::kNo) break;
  }
  // The last byte and the token edges lead to one position.
  Position end;
  const Position lastFrom = at;
  stepper.begin(arena_, end);
  if (length > 0) stepper.move_byte(arena_, lastFrom, bytes[length - 1]);
  stepper.move_token(arena_, start, token);
  if (arena_.configurations.size() == end.begin) return Answer::kNo;
  if (!stepper.close(arena_, end)) return Answer::kTooAmbiguous;
  at = end;
  return Answer::kYes;
}

Answer Matcher::step(Position& at, uint8_t byte) {
  Stepper& stepper = grammar_->stepper();
  Position next;
  stepper.begin(arena_, next);
  stepper.move_byte(arena_, at, byte);
  if (arena_.configurations.size() == next.begin) {
    at = {next.begin, next.begin, false};
    return Answer::kNo;
  }
  if (!stepper.close(arena_, next)) return Answer::kTooAmbiguous;
  at = next;
  return Answer::kYes;
}

Answer Matcher::fill_mask(uint32_t* words) {
  if (isTooAmbiguous_) return Answer::kTooAmbiguous;
  fill_token_edges(words);
  const bool isDone = grammar_->composer().fill(arena_, at_, words);
  const Answer answer = isDone ? Answer::kYes : walk(kTrieRoot, at_, words);
  grammar_->settle();
  return answer;
}

Answer Matcher::fill_mask_plainly(uint32_t* words) {
  if (isTooAmbiguous_) return Answer::kTooAmbiguous;
  fill_token_edges(words);
  return walk(kTrieRoot, at_, words);
}

/** Sets the tokens below a node at which the text stands in `from`. Without words: kYes at the first one. */
Answer Matcher::walk(int32_t top, const Position& from, uint32_t* words) {
  struct Level {
    Position position;
    ConfigurationArena::Mark mark;
  };
  Stepper& stepper = grammar_->stepper();
  const TokenTrie& trie = grammar_->trie();
  const int64_t maxWork = stepper.work() + std::max(kMaxWalkWork, kMaxWalkTries * trie.num_nodes());
  const int32_t topDepth = trie.node(top).depth, end = trie.node(top).end;
  const ConfigurationArena::Mark before = arena_.mark();
  std::vector<Level> path{{from, before}};
  Answer answer = words == nullptr ? Answer::kNo : Answer::kYes;
  for (int32_t i = top + 1; i < end;) {
    const TrieNode& node = trie.node(i);
    path.resize(static_cast<size_t>(node.depth - topDepth));
    const Level parent = path.back();
    arena_.cut(parent.mark);
    Position next;
    stepper.begin(arena_, next);
    stepper.move_byte(arena_, parent.position, node.byte);
    const bool isDead = arena_.configurations.size() == next.begin;
    if (!isDead && trie.has_token(i)) {
      if (words == nullptr) {
        answer = Answer::kYes;
        break;
      }
      for (const int32_t* token = trie.tokens_begin(i); token < trie.tokens_end(i); token++) words[*token >> 5] |= 1u << (*token & 31);
    }
    const bool goesOn = !isDead && !trie.is_leaf(i);
    if (stepper.work() > maxWork || (goesOn && !stepper.close(arena_, next))) {
      answer = Answer::kTooAmbiguous;
      break;
    }
    if (goesOn) path.push_back({next, arena_.mark()});
    i = goesOn ? i + 1 : node.end;
  }
  arena_.cut(before);
  return answer;
}

template <typename VISIT> void Matcher::visit_token_states(VISIT visit) const {
  StampedTable& visited = grammar_->visited();
  visited.clear();
  for (size_t i = at_.begin; i < at_.end; i++) {
    const Configuration& at = arena_.configurations[i];
    const State& state = grammar_->automaton().state(at.state);
    if (state.tokenBegin == state.tokenEnd || !state.may_leave(at.count) || !visited.insert({at.state, 0, 0, 0})) continue;
    grammar_->stepper().add_work(state.tokenEnd - state.tokenBegin);
    if (!visit(state)) return;
  }
}

void Matcher::fill_token_edges(uint32_t* words) const {
  const std::vector<int32_t>& tokenIds = grammar_->automaton().tables().tokenIds;
  visit_token_states([&](const State& state) {
    for (int32_t edge = state.tokenBegin; edge < state.tokenEnd; edge++) {
      const int32_t token = tokenIds[static_cast<size_t>(edge)];
      words[token >> 5] |= 1u << (token & 31);
    }
    return true;
  });
}

bool Matcher::is_complete() const {
  if (!at_.canEnd) return false;
  for (size_t i = at_.begin; i < at_.end; i++) {
    const State& state = grammar_->automaton().state(arena_.configurations[i].state);
    if ((state.byteBegin < state.byteEnd || state.tokenBegin < state.tokenEnd) && state.may_leave(arena_.configurations[i].count)) return false;
  }
  return true;
}

/** -1: the text may end, a token may follow, or there is a choice. */
int32_t Matcher::forced_byte(const Position& at) const {
  if (at.canEnd) return -1;
  const Automaton& automaton = grammar_->automaton();
  int32_t forced = -1;
  for (size_t i = at.begin; i < at.end; i++) {
    const State& state = automaton.state(arena_.configurations[i].state);
    if (!state.may_leave(arena_.configurations[i].count)) continue;
    if (state.tokenBegin < state.tokenEnd) return -1;
    if (state.byteBegin == state.byteEnd) continue;
    const int32_t byte = automaton.tables().byteFirst[static_cast<size_t>(state.byteBegin)];
    const bool isOne = state.byteEnd - state.byteBegin == 1 && automaton.tables().byteLast[static_cast<size_t>(state.byteBegin)] == byte;
    if (!isOne || (forced >= 0 && forced != byte)) return -1;
    forced = byte;
  }
  return forced;
}

Answer Matcher::forced_bytes(int64_t maxBytes, std::vector<uint8_t>& bytes) {
  bytes.clear();
  if (isTooAmbiguous_) return Answer::kTooAmbiguous;
  const ConfigurationArena::Mark mark = arena_.mark();
  Position at = at_;
  Answer answer = Answer::kYes;
  const int64_t maxWork = grammar_->stepper().work() + kMaxReadWork;
  while (answer == Answer::kYes && static_cast<int64_t>(bytes.size()) < maxBytes && grammar_->stepper().work() <= maxWork) {
    const int32_t byte = forced_byte(at);
    if (byte < 0) break;
    bytes.push_back(static_cast<uint8_t>(byte));
    answer = step(at, static_cast<uint8_t>(byte));
  }
  arena_.cut(mark);
  grammar_->settle();
  return answer;
}

int32_t Matcher::forced_token() const {
  if (at_.canEnd) return -1;
  for (size_t i = at_.begin; i < at_.end; i++) {
    const State& state = grammar_->automaton().state(arena_.configurations[i].state);
    if (state.byteBegin < state.byteEnd && state.may_leave(arena_.configurations[i].count)) return -1;
  }
  const std::vector<int32_t>& tokenIds = grammar_->automaton().tables().tokenIds;
  int32_t forced = -1;
  visit_token_states([&](const State& state) {
    const int32_t first = tokenIds[static_cast<size_t>(state.tokenBegin)], last = tokenIds[static_cast<size_t>(state.tokenEnd) - 1];
    const bool isOne = first == last && (forced < 0 || forced == first);
    forced = isOne ? first : -1;
    return isOne;
  });
  return forced;
}

Answer Matcher::has_longer_token(const uint8_t* bytes, size_t length) {
  if (isTooAmbiguous_) return Answer::kTooAmbiguous;
  const TokenTrie& trie = grammar_->trie();
  const AutomatonTables& t = grammar_->automaton().tables();
  bool hasEdge = false;
  visit_token_states([&](const State& state) {
    for (int32_t edge = state.tokenBegin; !hasEdge && edge < state.tokenEnd; edge++) {
      const int32_t token = t.tokenIds[static_cast<size_t>(edge)];
      const size_t tokenLength = static_cast<size_t>(trie.token_length(token));
      hasEdge = tokenLength > length && (length == 0 || std::memcmp(trie.token_bytes(token), bytes, length) == 0);
    }
    return !hasEdge;
  });
  if (hasEdge) return Answer::kYes;
  const int32_t node = trie.find(bytes, length);
  if (node < 0 || trie.is_leaf(node)) return Answer::kNo;
  const ConfigurationArena::Mark mark = arena_.mark();
  Position at = at_;
  Answer answer = Answer::kYes;
  for (size_t i = 0; answer == Answer::kYes && i < length; i++) answer = step(at, bytes[i]);
  if (answer == Answer::kYes) answer = walk(node, at, nullptr);
  arena_.cut(mark);
  grammar_->settle();
  return answer;
}

}  // namespace inferd::grammar
