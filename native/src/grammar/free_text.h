// What a state inside of a JSON string can say about a whole vocabulary at once. In a FREE_TEXT state of automaton.ts a token that is
// made only of code points that stand for themselves is allowed if its code points are (one that ends inside of a code point has begun
// it); any other token leaves that text at its first other byte, its stop.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "grammar/token_trie.h"

namespace inferd::grammar {

/** The node of the trie behind `codePoints` whole code points of free text and the one byte that is not. */
struct TextStop {
  int32_t node, codePoints;
};

class FreeText {
 public:
  /** Gives the trie its second tree: what follows one code point of free text or more. */
  explicit FreeText(TokenTrie& trie);

  /** Code points of the longest token of free text. */
  int32_t max_code_points() const { return maxCodePoints_; }
  /** Code points before the last stop of the vocabulary. */
  int32_t max_stop_code_points() const { return maxStopCodePoints_; }
  /** Sets the bits of all tokens of at most `codePoints` code points of free text. */
  void fill(int32_t codePoints, uint32_t* words) const;
  /** By the byte that is not free text, ascending by code points; none for bytes that begin free text. */
  const std::vector<TextStop>& stops(uint8_t byte) const { return stops_[byte]; }
  /** A byte that no code point of free text begins with. */
  static bool is_stop(uint8_t byte) { return byte < 0x20 || byte == '"' || byte == '\\' || (byte >= 0x80 && byte < 0xc2) || byte > 0xf4; }
  /** The inner nodes behind `first` to `last` whole code points of free text and nothing else, ascending. */
  static std::vector<int32_t> nodes_behind_text(const TokenTrie& trie, int32_t first, int32_t last);
  size_t memory_bytes() const;

 private:
  /** Bit sets up to here; those of longer tokens are a list. */
  static constexpr int32_t kMaxDense = 16;
  struct LongToken {
    int32_t token, codePoints;
  };

  void add_tokens(const TokenTrie& trie, int32_t node, int32_t codePoints);
  std::vector<TrieText> suffixes(const TokenTrie& trie) const;

  size_t numWords_;
  int32_t maxCodePoints_ = 0, maxStopCodePoints_ = 0;
  /** (kMaxDense + 1, numWords): tokens of at most so many code points. */
  std::vector<uint32_t> dense_;
  /** By code points, ascending. */
  std::vector<LongToken> longTokens_;
  std::vector<TextStop> stops_[256];
};

}  // namespace inferd::grammar
