// What composed masks are made of, each part against the plain walk: callers that come late, exits behind free text known by their code
// points alone; and the work that one question may cost, however hostile the grammar.
#include <string>
#include <vector>

#include "grammar/matcher.h"
#include "grammar_draft.h"
#include "guarded.h"
#include "suites.h"

namespace inferd::test {
namespace {

using namespace inferd::grammar;

/** Compares at every position of a text that is read byte by byte; the first 256 tokens are the bytes. Returns the last mask's number of tokens. */
int32_t compare_along(const std::shared_ptr<Grammar>& grammar, const std::string& text) {
  Matcher matcher(grammar);
  const size_t numWords = (static_cast<size_t>(grammar->trie().vocab_size()) + 31) / 32;
  int32_t numAllowed = 0;
  for (size_t at = 0; at <= text.size(); at++) {
    std::vector<uint32_t> plain(numWords), composed(numWords);
    expect(matcher.fill_mask_plainly(plain.data()) == Answer::kYes, "the plain walk gave up");
    MaskComposer& composer = grammar->composer();
    expect(matcher.fill_mask(composed.data()) == Answer::kYes && composer.work() < kMaxComposedWork, "a mask was not composed");
    expect(plain == composed, "a part of a composed mask is missing or too much");
    numAllowed = 0;
    for (const uint32_t word : plain) numAllowed += __builtin_popcount(word);
    if (at < text.size()) expect(matcher.accept(static_cast<uint8_t>(text[at])) == Answer::kYes, "the text was refused");
  }
  return numAllowed;
}

std::shared_ptr<const Vocabulary> bytes_and(const std::vector<std::string>& texts) {
  std::vector<std::string> tokens;
  for (int32_t byte = 0; byte < 256; byte++) tokens.push_back(std::string(1, static_cast<char>(byte)));
  tokens.insert(tokens.end(), texts.begin(), texts.end());
  return vocabulary_of(tokens);
}

/** S = A | B, A = "a" R "x", B = "a" R "y", R = "b": whoever comes second finds R's end at "ab" already known. */
void test_late_callers() {
  Draft draft;
  const int32_t s = draft.rule(), start = draft.state(s), end = draft.state(s, kAccepts);
  const int32_t shared = draft.rule(), sharedStart = draft.state(shared), sharedEnd = draft.state(shared, kAccepts);
  draft.byte(sharedStart, 'b', sharedEnd);
  for (const char last : {'x', 'y', 'z'}) {
    const int32_t rule = draft.rule(), first = draft.state(rule), open = draft.state(rule), closed = draft.state(rule), done = draft.state(rule, kAccepts);
    draft.byte(first, 'a', open);
    draft.call(open, shared, closed);
    draft.byte(closed, last, done);
    draft.call(start, rule, end);
  }
  const auto grammar = std::make_shared<Grammar>(bytes_and({"abx", "aby", "abz", "ab", "abc", "abxx"}), draft.build(), 1 << 20);
  Matcher matcher(grammar);
  std::vector<uint32_t> words(9);
  matcher.fill_mask(words.data());
  expect((words[8] & 63) == 0b001111, "a caller that came late was not returned to");
  compare_along(grammar, "abz");
}

/** Free text of the JSON strings that are ASCII and é. Both states are marked as automaton.ts has it. */
void add_free_text(Draft& draft, int32_t rule, int32_t state) {
  for (int32_t byte = 0x20; byte < 0x80; byte++)
    if (byte != '"' && byte != '\\') draft.byte(state, static_cast<char>(byte), state);
  const auto next = [&](int32_t from, int32_t first, int32_t last, int32_t target) {
    for (int32_t byte = first; byte <= last; byte++) draft.byte(from, static_cast<char>(byte), target);
  };
  const int32_t one = draft.state(rule), two = draft.state(rule), e0 = draft.state(rule), ed = draft.state(rule), f0 = draft.state(rule), f1 = draft.state(rule),
                f4 = draft.state(rule);
  next(one, 0x80, 0xbf, state);
  next(two, 0x80, 0xbf, one);
  next(e0, 0xa0, 0xbf, one);
  next(ed, 0x80, 0x9f, one);
  next(f0, 0x90, 0xbf, two);
  next(f1, 0x80, 0xbf, two);
  next(f4, 0x80, 0x8f, two);
  next(state, 0xc2, 0xdf, one);
  next(state, 0xe0, 0xe0, e0);
  next(state, 0xe1, 0xef, two);
  next(state, 0xed, 0xed, ed);
  next(state, 0xf0, 0xf0, f0);
  next(state, 0xf1, 0xf3, f1);
  next(state, 0xf4, 0xf4, f4);
}

std::vector<std::string> string_tokens() {
  std::vector<std::string> tokens{"\"\"", "\"\":", "\xc3", "\xc3\xa9\"", "\xf0\x9f\x98\x80", "\xf0\x9f", "\"},", "\":", "\\n", "a\\n\""};
  for (int32_t length = 1; length <= 24; length++)
    for (const char* end : {"", "\"", "\":", "\\n", "\\n\":", "\"}", "-", "\xc3\xa9\"", "\xe6\x97", "\x01"})
      tokens.push_back(std::string(static_cast<size_t>(length), 'k') + end);
  return tokens;
}

/**
 * S = '"' T '"' ":" | '"' T "-" T '"', T = {min, max} code points of free text or an escape: the text ends anywhere between its counts, in a
 * rule of its own, so that its callers are asked with sets of nodes behind free text.
 */
void test_free_text_exits(int32_t min, int32_t max, bool hasEscapes) {
  Draft draft;
  const int32_t s = draft.rule(), start = draft.state(s), open = draft.state(s), closed = draft.state(s), quoted = draft.state(s), dashed = draft.state(s);
  const int32_t again = draft.state(s), done = draft.state(s, kAccepts);
  const int32_t text = draft.rule(min, max), loop = draft.state(text, kAccepts | kBoundary | kFreeText);
  add_free_text(draft, text, loop);
  if (hasEscapes) {
    const int32_t escape = draft.state(text);
    draft.byte(loop, '\\', escape);
    draft.byte(escape, 'n', loop);
  }
  draft.byte(start, '"', open);
  draft.call(open, text, closed);
  draft.byte(closed, '"', quoted);
  draft.byte(quoted, ':', done);
  draft.byte(closed, '-', dashed);
  draft.call(dashed, text, again);
  draft.byte(again, '"', quoted);
  const auto grammar = std::make_shared<Grammar>(bytes_and(string_tokens()), draft.build(), 1 << 20);
  const int32_t longest = max == kUncounted || max > 30 ? 30 : max;
  for (int32_t length = 0; length <= longest; length++) {
    const std::string read = "\"" + std::string(static_cast<size_t>(length), 'k');
    expect(compare_along(grammar, read) > 0, "a string has no way on");
  }
}

/** Positions with very many configurations; the vocabulary is all words of two letters. */
std::vector<std::string> all_words(int32_t maxLength) {
  std::vector<std::string> words;
  for (int32_t length = 2; length <= maxLength; length++)
    for (int32_t bits = 0; bits < 1 << length; bits++) {
      words.emplace_back();
      for (int32_t i = 0; i < length; i++) words.back() += (bits >> i & 1) != 0 ? 'b' : 'a';
    }
  words.push_back(std::string(200, 'a'));
  return words;
}

/** Rules that call each other in all ways: composing has millions of arrivals, walking millions of configurations. */
void test_bounded_work() {
  Draft draft;
  constexpr int32_t kRules = 40;
  std::vector<int32_t> starts, ends;
  for (int32_t r = 0; r < kRules; r++) draft.rule(), starts.push_back(draft.state(r)), ends.push_back(draft.state(r, kAccepts));
  for (size_t r = 0; r < kRules; r++) {
    const int32_t open = draft.state(static_cast<int32_t>(r), kAccepts), behind = draft.state(static_cast<int32_t>(r));
    for (const char byte : {'a', 'b'}) draft.byte(starts[r], byte, open), draft.byte(open, byte, ends[r]), draft.byte(behind, byte, ends[r]);
    for (int32_t callee = 0; callee < kRules; callee++) draft.call(open, callee, behind);
  }
  const auto grammar = std::make_shared<Grammar>(bytes_and(all_words(10)), draft.build(), 8 << 20);
  Matcher matcher(grammar);
  std::vector<uint32_t> words(static_cast<size_t>(grammar->trie().vocab_size()) / 32 + 1);
  Stepper& stepper = grammar->stepper();
  constexpr int64_t kSlack = 2 * kMaxPositionWork;
  size_t peakBytes = 0;
  for (int32_t step = 0; step < 6; step++) {
    const int64_t before = stepper.work();
    matcher.fill_mask(words.data());
    expect(grammar->composer().work() <= kMaxComposedWork + kSlack && stepper.work() - before <= 1'000'000 + kSlack, "a mask has no bound of work");
    const int64_t filled = stepper.work();
    matcher.accept(grammar->trie().vocab_size() - 1);
    expect(stepper.work() - filled <= 1'000'000 + kSlack, "a long token has no bound of work");
    matcher.accept('a');
    peakBytes = std::max(peakBytes, grammar->memory_bytes() + matcher.memory_bytes());
  }
  expect(peakBytes < (size_t{32} << 20), "a mask has no bound of memory");
}

/** Thousands of configurations of one state that many tokens leave: its edges are looked at once. */
void test_token_edges() {
  constexpr int32_t kTokens = 256, kCounts = 300;
  Draft draft;  // "a"{0, 300} by two ways of one and two letters; any token may follow each repeat
  const int32_t rule = draft.rule(0, kCounts), loop = draft.state(rule, kAccepts | kBoundary), half = draft.state(rule);
  const int32_t part = draft.rule(), partStart = draft.state(part), partEnd = draft.state(part, kAccepts), partLonger = draft.state(part, kAccepts);
  draft.call(loop, part, loop);
  draft.byte(partStart, 'a', partEnd);
  draft.byte(partEnd, 'a', partLonger);
  draft.byte(half, 'a', loop);
  for (int32_t token = 0; token < kTokens; token++) draft.token(loop, kTokens - 1 - token, loop);
  const auto grammar = std::make_shared<Grammar>(bytes_and({}), draft.build(), 1 << 20);
  Matcher matcher(grammar);
  for (int32_t i = 0; i < 100; i++) expect(matcher.accept('a') == Answer::kYes, "a repeat was refused");
  expect(matcher.num_configurations() > 50, "there are few counts");
  std::vector<uint32_t> words(8);
  const int64_t before = grammar->stepper().work();
  matcher.fill_mask(words.data());
  matcher.forced_token();
  expect(grammar->stepper().work() - before <= 2 * kTokens, "token edges are looked at for each count");
  expect(words == std::vector<uint32_t>(8, ~0u) && matcher.accept(7) == Answer::kYes, "a token edge was lost");
}

}  // namespace

void test_grammar_masks() {
  test_late_callers();
  for (const bool hasEscapes : {false, true}) {
    test_free_text_exits(0, kUncounted, hasEscapes);
    test_free_text_exits(0, kUnbounded, hasEscapes);
    test_free_text_exits(3, kUnbounded, hasEscapes);
    test_free_text_exits(1, 5, hasEscapes);
    test_free_text_exits(6, 19, hasEscapes);
    test_free_text_exits(7, kUnbounded - 1, hasEscapes);
  }
  test_bounded_work();
  test_token_edges();
}

}  // namespace inferd::test
