// The tokens of a vocabulary as one tree of their bytes, in preorder: a node's subtree is the nodes behind it up to `end`, so that a
// walk is a loop that either goes on to the next node or jumps over a subtree. Tokens without bytes are not in it. Behind the tree lies a
// second, small one, of what free text (free_text.h) is followed by in tokens that are not made of it alone.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace inferd::grammar {

struct TrieNode {
  /** One past the last node of the subtree. */
  int32_t end;
  /** The tokens that end here are those of ordered_tokens() from here to the next node's. */
  int32_t tokenBegin;
  /** Bytes from the root. */
  int32_t depth;
  uint8_t byte;
};

constexpr int32_t kTrieRoot = 0;

/** A token, or the rest of one, on its way into a tree. */
struct TrieText {
  const uint8_t* bytes;
  int32_t length, token;
};

class TokenTrie {
 public:
  /** Token t has bytes[starts[t]] up to bytes[starts[t + 1]]; starts ascend from 0 to the end of bytes. */
  TokenTrie(std::vector<uint8_t> bytes, std::vector<int32_t> starts);

  int32_t vocab_size() const { return static_cast<int32_t>(starts_.size()) - 1; }
  int32_t max_token_bytes() const { return maxTokenBytes_; }
  /** Adds the second tree; its texts are parts of tokens and have bytes. Its root has the same depth as the first one's. */
  void add_suffixes(std::vector<TrieText> suffixes);
  int32_t suffix_root() const { return suffixRoot_; }
  /** Of the tree of whole tokens. */
  int32_t num_nodes() const { return nodes_[kTrieRoot].end; }
  const TrieNode& node(int32_t node) const { return nodes_[static_cast<size_t>(node)]; }
  bool is_leaf(int32_t index) const { return node(index).end == index + 1; }
  bool has_token(int32_t index) const { return node(index).tokenBegin < node(index + 1).tokenBegin; }
  /** The tokens of a node: all with the same bytes, or with the same end behind free text. */
  const int32_t* tokens_begin(int32_t index) const { return tokens_.data() + node(index).tokenBegin; }
  const int32_t* tokens_end(int32_t index) const { return tokens_.data() + node(index + 1).tokenBegin; }

  const uint8_t* token_bytes(int32_t token) const { return bytes_.data() + starts_[static_cast<size_t>(token)]; }
  int32_t token_length(int32_t token) const { return starts_[static_cast<size_t>(token) + 1] - starts_[static_cast<size_t>(token)]; }
  /** The node of these bytes, or -1. */
  int32_t find(const uint8_t* bytes, size_t length) const;
  size_t memory_bytes() const;

 private:
  /** Puts a tree at the end of the nodes, in place of the sentinel there. */
  void build(std::vector<TrieText> texts);

  std::vector<uint8_t> bytes_;
  std::vector<int32_t> starts_;
  /** Both trees, and a sentinel that ends the last node's tokens. */
  std::vector<TrieNode> nodes_;
  std::vector<int32_t> tokens_;
  int32_t maxTokenBytes_ = 0, suffixRoot_ = 0;
};

}  // namespace inferd::grammar
