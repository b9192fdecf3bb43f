#include "grammar/token_trie.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace inferd::grammar {
namespace {

/** The first bytes as one number that orders as they do. */
uint64_t key_of(const TrieText& text) {
  uint64_t key = 0;
  for (int32_t i = 0; i < 8; i++) key = key << 8 | (i < text.length ? text.bytes[i] : 0u);
  return key;
}

bool is_before(const TrieText& left, const TrieText& right) {
  const int order = std::memcmp(left.bytes, right.bytes, static_cast<size_t>(std::min(left.length, right.length)));
  if (order != 0) return order < 0;
  return left.length != right.length ? left.length < right.length : left.token < right.token;
}

void sort_texts(std::vector<TrieText>& texts) {
  struct Keyed {
    uint64_t key;
    TrieText text;
  };
  std::vector<Keyed> keyed;
  keyed.reserve(texts.size());
  for (const TrieText& text : texts) keyed.push_back({key_of(text), text});
  std::sort(keyed.begin(), keyed.end(),
            [](const Keyed& left, const Keyed& right) { return left.key != right.key ? left.key < right.key : is_before(left.text, right.text); });
  for (size_t i = 0; i < texts.size(); i++) texts[i] = keyed[i].text;
}

}  // namespace

TokenTrie::TokenTrie(std::vector<uint8_t> bytes, std::vector<int32_t> starts) : bytes_(std::move(bytes)), starts_(std::move(starts)) {
  std::vector<TrieText> texts;
  for (int32_t token = 0; token < vocab_size(); token++) {
    if (token_length(token) > 0) texts.push_back({token_bytes(token), token_length(token), token});
    maxTokenBytes_ = std::max(maxTokenBytes_, token_length(token));
  }
  nodes_.push_back({0, 0, 0, 0});
  build(std::move(texts));
}

void TokenTrie::add_suffixes(std::vector<TrieText> suffixes) {
  suffixRoot_ = static_cast<int32_t>(nodes_.size()) - 1;
  build(std::move(suffixes));
  nodes_.shrink_to_fit();
  tokens_.shrink_to_fit();
}

void TokenTrie::build(std::vector<TrieText> texts) {
  sort_texts(texts);
  // The nodes from the root to the last text, which is `previous`.
  std::vector<int32_t> path{static_cast<int32_t>(nodes_.size()) - 1};
  TrieText previous{nullptr, 0, -1};
  for (const TrieText& text : texts) {
    int32_t same = 0;
    while (same < text.length && same < previous.length && text.bytes[same] == previous.bytes[same]) same++;
    for (; static_cast<int32_t>(path.size()) > same + 1; path.pop_back()) nodes_[static_cast<size_t>(path.back())].end = static_cast<int32_t>(nodes_.size());
    for (int32_t depth = same; depth < text.length; depth++) {
      path.push_back(static_cast<int32_t>(nodes_.size()));
      nodes_.push_back({0, static_cast<int32_t>(tokens_.size()), depth + 1, text.bytes[depth]});
    }
    tokens_.push_back(text.token);
    previous = text;
  }
  for (const int32_t node : path) nodes_[static_cast<size_t>(node)].end = static_cast<int32_t>(nodes_.size());
  nodes_.push_back({static_cast<int32_t>(nodes_.size()) + 1, static_cast<int32_t>(tokens_.size()), 0, 0});
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
  return bytes_.capacity() + (starts_.capacity() + tokens_.capacity()) * sizeof(int32_t) + nodes_.capacity() * sizeof(TrieNode);
}

}  // namespace inferd::grammar
