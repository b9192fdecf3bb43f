#include "grammar/free_text.h"

#include <algorithm>

namespace inferd::grammar {
namespace {

/** Where a walk stands in UTF-8: how many bytes the code point still needs, and what the next one may be. */
struct Utf8 {
  int32_t wholeCodePoints = 0;
  uint8_t missing = 0, low = 0, high = 0;
};

Utf8 begin_code_point(Utf8 at, uint8_t lead) {
  if (lead < 0x80) return {at.wholeCodePoints + 1};
  const uint8_t missing = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
  const uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80, high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  return {at.wholeCodePoints, missing, low, high};
}

Utf8 go_on(Utf8 at) {
  if (at.missing == 1) return {at.wholeCodePoints + 1};
  return {at.wholeCodePoints, static_cast<uint8_t>(at.missing - 1), 0x80, 0xbf};
}

/** Visits (node, where it stands) of all free text, and (stop, code points before it). */
template <typename ON_TEXT, typename ON_STOP> void walk_free_text(const TokenTrie& trie, ON_TEXT onText, ON_STOP onStop) {
  std::vector<Utf8> path(static_cast<size_t>(trie.max_token_bytes()) + 1);
  for (int32_t i = kTrieRoot + 1; i < trie.node(kTrieRoot).end;) {
    const TrieNode& node = trie.node(i);
    const Utf8 parent = path[static_cast<size_t>(node.depth) - 1];
    const bool isStop = parent.missing == 0 && FreeText::is_stop(node.byte);
    if (isStop) onStop(i, parent.wholeCodePoints);
    if (isStop || (parent.missing > 0 && (node.byte < parent.low || node.byte > parent.high))) {
      i = node.end;
      continue;
    }
    const Utf8 at = parent.missing == 0 ? begin_code_point(parent, node.byte) : go_on(parent);
    path[static_cast<size_t>(node.depth)] = at;
    onText(i, at);
    i++;
  }
}

}  // namespace

FreeText::FreeText(TokenTrie& trie) : numWords_((static_cast<size_t>(trie.vocab_size()) + 31) / 32), dense_((kMaxDense + 1) * numWords_) {
  walk_free_text(
      trie,
      [&](int32_t node, Utf8 at) {
        if (trie.has_token(node)) add_tokens(trie, node, at.wholeCodePoints + (at.missing > 0 ? 1 : 0));
      },
      [&](int32_t node, int32_t codePoints) { stops_[trie.node(node).byte].push_back({node, codePoints}); });
  for (size_t k = 1; k <= kMaxDense; k++)
    for (size_t w = 0; w < numWords_; w++) dense_[k * numWords_ + w] |= dense_[(k - 1) * numWords_ + w];
  std::stable_sort(longTokens_.begin(), longTokens_.end(), [](const LongToken& left, const LongToken& right) { return left.codePoints < right.codePoints; });
  trie.add_suffixes(suffixes(trie));
  for (std::vector<TextStop>& stops : stops_) {
    std::stable_sort(stops.begin(), stops.end(), [](const TextStop& left, const TextStop& right) { return left.codePoints < right.codePoints; });
    if (!stops.empty()) maxStopCodePoints_ = std::max(maxStopCodePoints_, stops.back().codePoints);
  }
}

std::vector<TrieText> FreeText::suffixes(const TokenTrie& trie) const {
  std::vector<TrieText> texts;
  for (const std::vector<TextStop>& stops : stops_)
    for (const TextStop& stop : stops) {
      if (stop.codePoints == 0) continue;
      const TrieNode& node = trie.node(stop.node);
      const int32_t textBytes = node.depth - 1;
      for (const int32_t* token = trie.tokens_begin(stop.node); token < trie.tokens_begin(node.end); token++)
        texts.push_back({trie.token_bytes(*token) + textBytes, trie.token_length(*token) - textBytes, *token});
    }
  return texts;
}

void FreeText::add_tokens(const TokenTrie& trie, int32_t node, int32_t codePoints) {
  maxCodePoints_ = std::max(maxCodePoints_, codePoints);
  for (const int32_t* token = trie.tokens_begin(node); token < trie.tokens_end(node); token++) {
    if (codePoints > kMaxDense) longTokens_.push_back({*token, codePoints});
    else dense_[static_cast<size_t>(codePoints) * numWords_ + static_cast<size_t>(*token >> 5)] |= 1u << (*token & 31);
  }
}

void FreeText::fill(int32_t codePoints, uint32_t* words) const {
  const uint32_t* dense = dense_.data() + static_cast<size_t>(std::clamp(codePoints, 0, kMaxDense)) * numWords_;
  for (size_t w = 0; w < numWords_; w++) words[w] |= dense[w];
  for (const LongToken& entry : longTokens_) {
    if (entry.codePoints > codePoints) return;
    words[entry.token >> 5] |= 1u << (entry.token & 31);
  }
}

std::vector<int32_t> FreeText::nodes_behind_text(const TokenTrie& trie, int32_t first, int32_t last) {
  std::vector<int32_t> nodes;
  walk_free_text(
      trie,
      [&](int32_t node, Utf8 at) {
        if (at.missing == 0 && at.wholeCodePoints >= first && at.wholeCodePoints <= last && !trie.is_leaf(node)) nodes.push_back(node);
      },
      [](int32_t, int32_t) {});
  return nodes;
}

size_t FreeText::memory_bytes() const {
  size_t bytes = sizeof(FreeText) + dense_.capacity() * sizeof(uint32_t) + longTokens_.capacity() * sizeof(LongToken);
  for (const std::vector<TextStop>& stops : stops_) bytes += stops.capacity() * sizeof(TextStop);
  return bytes;
}

}  // namespace inferd::grammar
