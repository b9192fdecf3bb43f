// Grammars over a vocabulary: composed masks against plain walks against accept, on random tables and texts; hostile grammars, whose cost is
// counted in operations and bytes; tables that were damaged at random.
#include <string>
#include <utility>
#include <vector>

#include "grammar/matcher.h"
#include "grammar_draft.h"
#include "guarded.h"
#include "suites.h"

namespace inferd::test {
namespace {

using namespace inferd::grammar;

std::vector<std::string> random_tokens(Random& random) {
  std::vector<std::string> tokens{""};
  const int32_t numTokens = 20 + random.below(60);
  for (int32_t t = 0; t < numTokens; t++) {
    std::string token;
    for (int32_t length = random.below(7); length > 0; length--)
      token += random.below(12) == 0 ? static_cast<char>(random.below(256)) : "abcd\"\xc3\xa9"[random.below(7)];
    tokens.push_back(token);
  }
  return tokens;
}

AutomatonTables random_tables(Random& random, int32_t vocabSize) {
  Draft draft;
  const int32_t numRules = 1 + random.below(4);
  for (int32_t r = 0; r < numRules; r++) {
    const int32_t min = random.below(4), max = random.below(3) == 0 ? kUnbounded : min + random.below(4);
    draft.rule(min, random.below(3) == 0 ? max : kUncounted);
  }
  for (int32_t r = 0; r < numRules; r++) {
    std::vector<int32_t> states;
    for (int32_t n = 1 + random.below(5); n > 0; n--) states.push_back(draft.state(r, static_cast<uint8_t>(random.below(4))));
    const auto any = [&] { return states[static_cast<size_t>(random.below(static_cast<int32_t>(states.size())))]; };
    for (const int32_t state : states) {
      for (const char byte : std::string("abcd\"\xc3\xa9"))
        if (random.below(3) == 0) draft.byte(state, byte, any());
      for (int32_t n = random.below(8) - 5; n > 0; n--) draft.call(state, random.below(numRules), any());
      if (random.below(12) == 0) draft.token(state, random.below(vocabSize), any());
    }
  }
  return draft.build(random.below(numRules));
}

std::vector<uint32_t> mask_of(Matcher& matcher, bool isPlain) {
  std::vector<uint32_t> words((static_cast<size_t>(matcher.grammar().trie().vocab_size()) + 31) / 32);
  // Ends at a page that may not be touched.
  Guarded<uint32_t> guarded(words.size());
  const Answer answer = isPlain ? matcher.fill_mask_plainly(guarded.data()) : matcher.fill_mask(guarded.data());
  expect(answer == Answer::kYes, "a small grammar is too ambiguous");
  for (size_t w = 0; w < words.size(); w++) words[w] = guarded[w];
  return words;
}

/** At every position: both masks, and what accept says of each token. */
void walk_at_random(Matcher matcher, Random& random, int32_t maxSteps) {
  std::vector<uint8_t> forced;
  for (int32_t step = 0; step < maxSteps; step++) {
    const std::vector<uint32_t> mask = mask_of(matcher, false);
    expect(mask == mask_of(matcher, true), "the composed mask is not that of the plain walk");
    std::vector<int32_t> allowed;
    for (int32_t token = 0; token < matcher.grammar().trie().vocab_size(); token++) {
      const bool isSet = (mask[static_cast<size_t>(token >> 5)] >> (token & 31) & 1) != 0;
      Matcher ahead = matcher;
      expect((ahead.accept(token) == Answer::kYes) == isSet, "a mask and accept disagree");
      if (isSet) allowed.push_back(token);
    }
    matcher.forced_bytes(9, forced);
    matcher.forced_token();
    matcher.has_longer_token(forced.data(), forced.size());
    expect(!matcher.is_complete() || allowed.empty(), "a complete text goes on");
    if (allowed.empty()) return;
    matcher.accept(allowed[static_cast<size_t>(random.below(static_cast<int32_t>(allowed.size())))]);
  }
}

void test_random_tables(Random& random) {
  for (int32_t round = 0; round < 150; round++) {
    const std::vector<std::string> tokens = random_tokens(random);
    const auto vocabulary = vocabulary_of(tokens);
    AutomatonTables tables = random_tables(random, static_cast<int32_t>(tokens.size()));
    expect(find_fault(tables, static_cast<int32_t>(tokens.size())) == nullptr, "good tables have a fault");
    walk_at_random(Matcher(std::make_shared<Grammar>(vocabulary, std::move(tables), round % 2 == 0 ? 0 : size_t{1} << 20)), random, 8);
  }
}

/** A damaged table is refused, or it is a table: nothing reads elsewhere. */
void test_damaged_tables(Random& random) {
  int32_t numRefused = 0;
  for (int32_t round = 0; round < 600; round++) {
    const auto vocabulary = vocabulary_of(random_tokens(random));
    AutomatonTables t = random_tables(random, vocabulary->trie.vocab_size());
    std::vector<int32_t>* columns[] = {&t.ruleStart,  &t.ruleMin,  &t.ruleMax,    &t.stateRule,   &t.byteStarts, &t.byteTarget,
                                       &t.callStarts, &t.callRule, &t.callReturn, &t.tokenStarts, &t.tokenIds,   &t.tokenTarget};
    std::vector<int32_t>& column = *columns[random.below(12)];
    if (column.empty()) continue;
    int32_t& value = column[static_cast<size_t>(random.below(static_cast<int32_t>(column.size())))];
    const int32_t damage[] = {-1, -2, 0, value ^ 1, value ^ 3, 1 << 30, kUnbounded, random.below(20)};
    value = damage[random.below(8)];
    if (random.below(10) == 0) column.pop_back();
    if (find_fault(t, vocabulary->trie.vocab_size()) != nullptr) {
      numRefused++;
      continue;
    }
    Matcher matcher(std::make_shared<Grammar>(vocabulary, std::move(t), 1 << 20));
    std::vector<uint32_t> words(static_cast<size_t>(vocabulary->trie.vocab_size()) / 32 + 1);
    for (int32_t step = 0; step < 5; step++) matcher.fill_mask(words.data()), matcher.accept(random.below(vocabulary->trie.vocab_size()));
  }
  expect(numRefused > 200, "damaged tables were taken");
}

std::shared_ptr<Grammar> load(const Draft& draft) {
  return std::make_shared<Grammar>(vocabulary_of({"a", "b", "c", "ab", "aa", "aab", "bb", "[", "]", "[[", "]]", "],["}), draft.build(), 1 << 20);
}

/** Operations for `count` tokens; all must be taken. */
int64_t work_of(Matcher& matcher, Grammar& grammar, int32_t token, int32_t count) {
  const int64_t before = grammar.stepper().work();
  for (int32_t i = 0; i < count; i++) expect(matcher.accept(token) == Answer::kYes, "a hostile grammar refuses its own text");
  return grammar.stepper().work() - before;
}

/** Cost and configurations do not grow with what was read. */
void expect_steady(const Draft& draft, bool isMemorySteady, const char* what) {
  const std::shared_ptr<Grammar> grammar = load(draft);
  Matcher matcher(grammar);
  work_of(matcher, *grammar, 0, 100);
  const int64_t first = work_of(matcher, *grammar, 0, 2000);
  const size_t memoryBytes = matcher.memory_bytes();
  const int64_t second = work_of(matcher, *grammar, 0, 8000);
  expect(second <= 4 * first + 100, what);
  expect(matcher.num_configurations() < 20, what);
  expect(!isMemorySteady || matcher.memory_bytes() <= memoryBytes + (1 << 16), what);
}

void test_recursion() {
  Draft stacks;  // S = "a" S "b" | "a" S "c" | "a": 2^n stacks
  const int32_t s = stacks.rule(), start = stacks.state(s), open = stacks.state(s, kAccepts), end = stacks.state(s, kAccepts);
  const int32_t beforeB = stacks.state(s), beforeC = stacks.state(s);
  stacks.byte(start, 'a', open);
  stacks.call(open, s, beforeB);
  stacks.call(open, s, beforeC);
  stacks.byte(beforeB, 'b', end);
  stacks.byte(beforeC, 'c', end);
  expect_steady(stacks, false, "stacks multiply");

  Draft left;  // S = S "a" | "a"
  const int32_t l = left.rule(), leftStart = left.state(l), again = left.state(l), leftEnd = left.state(l, kAccepts);
  left.call(leftStart, l, again);
  for (const int32_t state : {leftStart, again}) left.byte(state, 'a', leftEnd);
  expect_steady(left, true, "left recursion grows");

  Draft right;  // S = "a" S | "a"
  const int32_t r = right.rule(), rightStart = right.state(r), behind = right.state(r, kAccepts), rightEnd = right.state(r, kAccepts);
  right.byte(rightStart, 'a', behind);
  right.call(behind, r, rightEnd);
  expect_steady(right, true, "right recursion grows");
}

void test_too_ambiguous() {
  // Many rules that all call each other at once and never end alone: more configurations than a position may have.
  Draft draft;
  constexpr int32_t kRules = 200;
  for (int32_t r = 0; r < kRules; r++) draft.rule();
  std::vector<int32_t> starts, ends;
  for (int32_t r = 0; r < kRules; r++) starts.push_back(draft.state(r)), ends.push_back(draft.state(r, kAccepts));
  for (int32_t r = 0; r < kRules; r++) {
    const size_t i = static_cast<size_t>(r);
    draft.byte(starts[i], 'a', ends[i]);
    draft.byte(ends[i], 'a', ends[i]);
    for (int32_t callee = 0; callee < kRules; callee++) draft.call(starts[i], callee, ends[i]), draft.call(ends[i], callee, ends[i]);
  }
  const std::shared_ptr<Grammar> grammar = load(draft);
  Matcher matcher(grammar);
  Answer answer = Answer::kYes;
  for (int32_t i = 0; i < 200 && answer == Answer::kYes; i++) answer = matcher.accept(0);
  expect(answer == Answer::kTooAmbiguous, "an endless ambiguity was never refused");
  const bool canEnd = matcher.can_end();
  const size_t numConfigurations = matcher.num_configurations();
  expect(matcher.accept(0) == Answer::kTooAmbiguous, "what was too ambiguous no longer is");
  expect(matcher.can_end() == canEnd && matcher.num_configurations() == numConfigurations, "a refused token changed the matcher");
}

void test_huge_counts() {
  Draft draft;
  const int32_t rule = draft.rule(kUnbounded - 1, kUnbounded - 1), state = draft.state(rule, kAccepts | kBoundary);
  draft.byte(state, 'a', state);
  Matcher matcher(load(draft));
  for (int32_t i = 0; i < 3000; i++) expect(matcher.accept(4) == Answer::kYes && !matcher.can_end(), "a huge count ends early");
  expect(mask_of(matcher, false) == mask_of(matcher, true) && matcher.num_configurations() == 1, "a huge count has another mask");
  Draft open;
  const int32_t many = open.rule(3, kUnbounded), loop = open.state(many, kAccepts | kBoundary);
  open.byte(loop, 'a', loop);
  Matcher endless(load(open));
  for (int32_t i = 0; i < 3000; i++) expect(endless.accept(0) == Answer::kYes && endless.can_end() == (i >= 2), "a count without an end ends late");
}

/** Deep nesting that opens and closes for ever takes the memory of its depth. */
void test_long_text() {
  Draft draft;  // L = "[" "]" | "[" L { "," L } "]"
  const int32_t list = draft.rule(), start = draft.state(list), open = draft.state(list), item = draft.state(list), next = draft.state(list);
  const int32_t end = draft.state(list, kAccepts);
  draft.byte(start, '[', open);
  draft.call(open, list, item);
  draft.byte(open, ']', end);
  draft.byte(item, ']', end);
  draft.byte(item, ',', next);
  draft.call(next, list, item);
  Matcher matcher(load(draft));
  matcher.accept(9);
  size_t peakBytes = 0;
  for (int32_t round = 0; round < 200; round++) {
    for (int32_t depth = 0; depth < 39; depth++) expect(matcher.accept(7) == Answer::kYes, "a list does not open");
    expect(matcher.accept(11) == Answer::kYes, "a list has no second item");
    for (int32_t depth = 0; depth < 39; depth++) expect(matcher.accept(8) == Answer::kYes, "a list does not close");
    if (round == 20) peakBytes = matcher.memory_bytes();
    expect(matcher.accept(11) == Answer::kYes, "a list has no next item");
    expect(mask_of(matcher, false) == mask_of(matcher, true), "a deep list has another mask");
  }
  expect(matcher.memory_bytes() <= peakBytes + (1 << 16), "a long text grows for ever");
}

}  // namespace

void test_grammar() {
  Random random(23);
  test_random_tables(random);
  test_damaged_tables(random);
  test_recursion();
  test_too_ambiguous();
  test_huge_counts();
  test_long_text();
}

}  // namespace inferd::test
