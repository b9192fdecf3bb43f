#include "grammar/token_trie.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace inferd::grammar {
namespace {

/** The first bytes as one number that orders as they do. */
uint64_t key_of(const uint8_t* bytes, int32_t length) {
  uint64_t key = 0;
  for (int32_t i = 0; i < 8; i++) key = key << 8 | (i < length ? bytes[i] : 0u);
  return key;
}

}  // namespace

std::vector<int32_t> TokenTrie::sorted_tokens() const {
  struct Keyed {
    uint64_t key;
    int32_t token;
  };
  std::vector<Keyed> keyed;
  for (int32_t t = 0; t < vocab_size(); t++)
    if (token_length(t) > 0) keyed.push_back({key_of(token_bytes(t), token_length(t)), t});
  std::sort(keyed.begin(), keyed.end(), [this](const Keyed& left, const Keyed& right) {
    if (left.key != right.key) return left.key < right.key;
    const int32_t leftLength = token_length(left.token), rightLength = token_length(right.token);
    const int order = std::memcmp(token_bytes(left.token), token_bytes(right.token), static_cast<size_t>(std::min(leftLength, rightLength)));
    if (order != 0) return order < 0;
    return leftLength != rightLength ? leftLength < rightLength : left.token < right.token;
  });
  std::vector<int32_t> tokens;
  tokens.reserve(keyed.size());
  for (const Keyed& entry : keyed) tokens.push_back(entry.token);
  return tokens;
}

TokenTrie::TokenTrie(std::vector<uint8_t> bytes, std::vector<int32_t> starts) : bytes_(std::move(bytes)), starts_(std::move(starts)) {
  duplicates_.assign(static_cast<size_t>(vocab_size()), -1);
  nodes_.push_back({1, -1, 0, 0});
  // The nodes from the root to the last token, and that token.
  std::vector<int32_t> path{kTrieRoot};
  int32_t previous = -1;
  for (const int32_t token : sorted_tokens()) {
    const int32_t length = token_length(token), previousLength = previous < 0 ? 0 : token_length(previous);
    int32_t same = 0;
    while (same < length && same < previousLength && token_bytes(token)[same] == token_bytes(previous)[same]) same++;
    if (previous >= 0 && same == length && same == previousLength) {
      duplicates_[static_cast<size_t>(previous)] = token;
      previous = token;
      continue;
    }
    for (; static_cast<int32_t>(path.size()) > same + 1; path.pop_back()) nodes_[static_cast<size_t>(path.back())].end = static_cast<int32_t>(nodes_.size());
    for (int32_t depth = same; depth < length; depth++) {
      path.push_back(static_cast<int32_t>(nodes_.size()));
      nodes_.push_back({0, -1, depth + 1, token_bytes(token)[depth]});
    }
    nodes_.back().token = token;
    maxTokenBytes_ = std::max(maxTokenBytes_, length);
    previous = token;
  }
  for (const int32_t node : path) nodes_[static_cast<size_t>(node)].end = static_cast<int32_t>(nodes_.size());
  nodes_.shrink_to_fit();
}

int32_t TokenTrie::find(const uint8_t* bytes, size_t length) const {
  int32_t at = kTrieRoot;
  for (size_t i = 0; i < length; i++) {
    const int32_t end = node(at).end;
    int32_t child = at + 1;
    while (child < end && node(child).byte != bytes[i]) child = node(child).end;
    if (child >= end) return -1;
    at = child;
  }
  return at;
}

size_t TokenTrie::memory_bytes() const {
  return bytes_.capacity() + (starts_.capacity() + duplicates_.capacity()) * sizeof(int32_t) + nodes_.capacity() * sizeof(TrieNode);
}

}  // namespace inferd::grammar
