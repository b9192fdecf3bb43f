// The tokens of a vocabulary as one tree of their bytes, in preorder: a node's subtree is the nodes behind it up to `end`, so that a
// walk is a loop that either goes on to the next node or jumps over a subtree. Tokens without bytes are not in it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace inferd::grammar {

struct TrieNode {
  /** One past the last node of the subtree. */
  int32_t end;
  /** The token that ends here, or -1; others with the same bytes follow it in `duplicates`. */
  int32_t token;
  /** Bytes from the root. */
  int32_t depth;
  uint8_t byte;
};

constexpr int32_t kTrieRoot = 0;

class TokenTrie {
 public:
  /** Token t has bytes[starts[t]] up to bytes[starts[t + 1]]; starts ascend from 0 to the end of bytes. */
  TokenTrie(std::vector<uint8_t> bytes, std::vector<int32_t> starts);

  int32_t vocab_size() const { return static_cast<int32_t>(starts_.size()) - 1; }
  int32_t max_token_bytes() const { return maxTokenBytes_; }
  const std::vector<TrieNode>& nodes() const { return nodes_; }
  const TrieNode& node(int32_t node) const { return nodes_[static_cast<size_t>(node)]; }
  bool is_leaf(int32_t index) const { return node(index).end == index + 1; }
  /** The next token with the same bytes, or -1. */
  int32_t next_duplicate(int32_t token) const { return duplicates_[static_cast<size_t>(token)]; }

  const uint8_t* token_bytes(int32_t token) const { return bytes_.data() + starts_[static_cast<size_t>(token)]; }
  int32_t token_length(int32_t token) const { return starts_[static_cast<size_t>(token) + 1] - starts_[static_cast<size_t>(token)]; }
  /** The node of these bytes, or -1. */
  int32_t find(const uint8_t* bytes, size_t length) const;
  size_t memory_bytes() const;

 private:
  std::vector<int32_t> sorted_tokens() const;

  std::vector<uint8_t> bytes_;
  std::vector<int32_t> starts_;
  std::vector<TrieNode> nodes_;
  std::vector<int32_t> duplicates_;
  int32_t maxTokenBytes_ = 0;
};

}  // namespace inferd::grammar
