// Where one choice stands in a grammar over a vocabulary: LoadedGrammar and TokenMatcher of src/engine/grammar/token-matcher.ts, which
// says what each answer means. One thread at a time for a grammar and all its matchers.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "grammar/configurations.h"
#include "grammar/free_text.h"
#include "grammar/mask_cache.h"
#include "grammar/mask_composer.h"
#include "grammar/token_trie.h"

namespace inferd::grammar {

/** Configurations that a plain walk over the trie may look at: that many, or so many times the trie where it is large. */
constexpr int64_t kMaxWalkWork = 1'000'000, kMaxWalkTries = 4;
/** Those that reading a token, or looking for forced bytes, may look at. */
constexpr int64_t kMaxReadWork = 1'000'000;

struct Vocabulary {
  TokenTrie trie;
  FreeText freeText;

  Vocabulary(std::vector<uint8_t> bytes, std::vector<int32_t> starts) : trie(std::move(bytes), std::move(starts)), freeText(trie) {}
  size_t memory_bytes() const { return trie.memory_bytes() + freeText.memory_bytes(); }
};

class Grammar {
 public:
  /** Tables without a fault for this vocabulary. Masks are cached up to about maxCacheBytes; they only make it quicker. */
  Grammar(std::shared_ptr<const Vocabulary> vocabulary, AutomatonTables tables, size_t maxCacheBytes);

  const TokenTrie& trie() const { return vocabulary_->trie; }
  const Automaton& automaton() const { return automaton_; }
  Stepper& stepper() { return stepper_; }
  MaskComposer& composer() { return composer_; }
  /** States that one question has looked at; cleared by who asks. */
  StampedTable& visited() { return visited_; }
  size_t memory_bytes() const { return automaton_.memory_bytes() + stepper_.memory_bytes() + cache_.memory_bytes() + composer_.memory_bytes() + visited_.memory_bytes(); }
  /** Between two questions: holds the bounds of memory. */
  void settle();

 private:
  std::shared_ptr<const Vocabulary> vocabulary_;
  Automaton automaton_;
  Stepper stepper_;
  MaskCache cache_;
  MaskComposer composer_;
  StampedTable visited_;
  size_t maxCacheBytes_;
};

enum class Answer : uint8_t { kNo, kYes, kTooAmbiguous };

class Matcher {
 public:
  /** The start may be too ambiguous: then every answer is. */
  explicit Matcher(std::shared_ptr<Grammar> grammar);

  /** Nothing has changed but after kYes. Work beyond a bound is too ambiguous, here and below. */
  Answer accept(int32_t token);
  /** kYes, or kTooAmbiguous: then some bits may be missing. */
  Answer fill_mask(uint32_t* words);
  /** fill_mask by the definition: the trie is walked with whole sets. */
  Answer fill_mask_plainly(uint32_t* words);
  bool can_end() const { return at_.canEnd; }
  bool is_complete() const;
  /** Fewer where finding more would be too much work. */
  Answer forced_bytes(int64_t maxBytes, std::vector<uint8_t>& bytes);
  /** -1: none. */
  int32_t forced_token() const;
  Answer has_longer_token(const uint8_t* bytes, size_t length);
  size_t memory_bytes() const { return sizeof(Matcher) + arena_.memory_bytes(); }
  const Grammar& grammar() const { return *grammar_; }
  /** For tests: what the current position consists of. */
  size_t num_configurations() const { return at_.end - at_.begin; }

 private:
  Answer read_token(int32_t token, Position& at);
  /** Moves `at` by a byte, at the end of the arena. */
  Answer step(Position& at, uint8_t byte);
  Answer walk(int32_t node, const Position& from, uint32_t* words);
  int32_t forced_byte(const Position& at) const;
  void fill_token_edges(uint32_t* words) const;
  /** Calls visit(state) once for each state that token edges leave now, until it is false. Many configurations may share a state. */
  template <typename VISIT> void visit_token_states(VISIT visit) const;

  std::shared_ptr<Grammar> grammar_;
  ConfigurationArena arena_;
  /** The first and only position in the arena. */
  Position at_;
  bool isTooAmbiguous_ = false;
  /** Frames and callers at which the arena is compacted next. */
  size_t compactAt_;
};

}  // namespace inferd::grammar
