// A matcher keeps its grammar and a grammar its vocabulary by shared pointers; JavaScript may let go of its objects in any order.
#include "grammar_binding.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grammar/matcher.h"

namespace inferd {
namespace {

using grammar::Answer;

/** Holds V8's idea of our memory near the truth: it decides when to look for garbage by it. */
class ExternalMemory {
 public:
  explicit ExternalMemory(Napi::Env env) : env_(env) {}
  ~ExternalMemory() { adjust(-reportedBytes_); }
  ExternalMemory(const ExternalMemory&) = delete;
  ExternalMemory& operator=(const ExternalMemory&) = delete;
  void report(size_t numBytes) {
    constexpr int64_t kStepBytes = 1 << 12;
    const int64_t change = static_cast<int64_t>(numBytes) - reportedBytes_;
    // The first report always counts: many small grammars are much memory too.
    if (reportedBytes_ == 0 || std::llabs(change) >= kStepBytes) adjust(change);
  }

 private:
  void adjust(int64_t change) {
    if (change == 0) return;
    int64_t total = 0;
    napi_adjust_external_memory(env_, change, &total);
    reportedBytes_ += change;
  }

  napi_env env_;
  int64_t reportedBytes_ = 0;
};

// Objects of JavaScript say what they are: unwrapping one of another class would read foreign memory.
constexpr napi_type_tag kVocabularyTag{0x6a3f1d0c5b7e4f21, 0x9c04d2e8a1b35f70}, kGrammarTag{0x2b90c7f4de6a4813, 0x87e15c3b09d2fa64};

template <typename WRAPPED> WRAPPED* unwrap(const Napi::Value& value, const napi_type_tag& tag, const char* what) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&tag)) throw Napi::TypeError::New(value.Env(), what);
  return WRAPPED::Unwrap(value.As<Napi::Object>());
}

template <typename ELEMENT> std::vector<ELEMENT> copy_array(const Napi::Value& value, napi_typedarray_type type, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
    throw Napi::TypeError::New(value.Env(), std::string(name) + " is no array of its type");
  const auto array = value.As<Napi::TypedArrayOf<ELEMENT>>();
  return std::vector<ELEMENT>(array.Data(), array.Data() + array.ElementLength());
}

std::vector<int32_t> column(const Napi::Object& object, const char* name) { return copy_array<int32_t>(object.Get(name), napi_int32_array, name); }
std::vector<uint8_t> byte_column(const Napi::Object& object, const char* name) { return copy_array<uint8_t>(object.Get(name), napi_uint8_array, name); }

grammar::AutomatonTables read_automaton(const Napi::Object& object) {
  grammar::AutomatonTables tables;
  tables.numStates = object.Get("numStates").As<Napi::Number>().Int32Value();
  tables.numRules = object.Get("numRules").As<Napi::Number>().Int32Value();
  tables.rootRule = object.Get("rootRule").As<Napi::Number>().Int32Value();
  tables.matchesEmpty = object.Get("matchesEmpty").ToBoolean().Value();
  tables.ruleStart = column(object, "ruleStart");
  tables.ruleMin = column(object, "ruleMin");
  tables.ruleMax = column(object, "ruleMax");
  tables.stateRule = column(object, "stateRule");
  tables.stateFlags = byte_column(object, "stateFlags");
  tables.byteStarts = column(object, "byteStarts");
  tables.byteFirst = byte_column(object, "byteFirst");
  tables.byteLast = byte_column(object, "byteLast");
  tables.byteTarget = column(object, "byteTarget");
  tables.callStarts = column(object, "callStarts");
  tables.callRule = column(object, "callRule");
  tables.callReturn = column(object, "callReturn");
  tables.tokenStarts = column(object, "tokenStarts");
  tables.tokenIds = column(object, "tokenIds");
  tables.tokenTarget = column(object, "tokenTarget");
  return tables;
}

class NativeVocabulary final : public Napi::ObjectWrap<NativeVocabulary> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeVocabulary", {InstanceAccessor<&NativeVocabulary::memory_bytes>("memoryBytes")});
  }

  /** (bytes u8, starts i32 (vocabSize + 1)). */
  explicit NativeVocabulary(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeVocabulary>(info), external_(info.Env()) {
    std::vector<uint8_t> bytes = copy_array<uint8_t>(info[0], napi_uint8_array, "bytes");
    std::vector<int32_t> starts = copy_array<int32_t>(info[1], napi_int32_array, "starts");
    constexpr size_t kMaxBytes = size_t{1} << 28;
    bool isFit = bytes.size() <= kMaxBytes && !starts.empty() && starts.front() == 0 && static_cast<size_t>(starts.back()) == bytes.size();
    for (size_t t = 1; isFit && t < starts.size(); t++) isFit = starts[t] >= starts[t - 1];
    if (!isFit) throw Napi::RangeError::New(info.Env(), "the tokens have no ranges of bytes");
    vocabulary_ = std::make_shared<const grammar::Vocabulary>(std::move(bytes), std::move(starts));
    external_.report(vocabulary_->memory_bytes());
    Value().TypeTag(&kVocabularyTag);
  }

  const std::shared_ptr<const grammar::Vocabulary>& vocabulary() const { return vocabulary_; }

 private:
  Napi::Value memory_bytes(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), static_cast<double>(vocabulary_->memory_bytes())); }

  std::shared_ptr<const grammar::Vocabulary> vocabulary_;
  ExternalMemory external_;
};

/** What matchers of one grammar report for it: the grammar lives as long as one of them. */
struct LoadedGrammar {
  std::shared_ptr<grammar::Grammar> grammar;
  ExternalMemory external;

  LoadedGrammar(Napi::Env env, std::shared_ptr<grammar::Grammar> loaded) : grammar(std::move(loaded)), external(env) { report(); }
  void report() { external.report(grammar->memory_bytes()); }
};

class NativeGrammar final : public Napi::ObjectWrap<NativeGrammar> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeGrammar", {InstanceAccessor<&NativeGrammar::memory_bytes>("memoryBytes")});
  }

  /** (NativeVocabulary, Automaton, maxCacheBytes). Throws a RangeError for tables that contradict themselves. */
  explicit NativeGrammar(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeGrammar>(info) {
    const auto* vocabulary = unwrap<NativeVocabulary>(info[0], kVocabularyTag, "a grammar is loaded over a NativeVocabulary");
    grammar::AutomatonTables tables = read_automaton(info[1].As<Napi::Object>());
    if (const char* fault = grammar::find_fault(tables, vocabulary->vocabulary()->trie.vocab_size())) throw Napi::RangeError::New(info.Env(), fault);
    const double maxCacheBytes = info[2].As<Napi::Number>().DoubleValue();
    if (!(maxCacheBytes >= 0 && maxCacheBytes <= 1e12)) throw Napi::RangeError::New(info.Env(), "maxCacheBytes is out of range");
    auto loaded = std::make_shared<grammar::Grammar>(vocabulary->vocabulary(), std::move(tables), static_cast<size_t>(maxCacheBytes));
    loaded_ = std::make_shared<LoadedGrammar>(info.Env(), std::move(loaded));
    Value().TypeTag(&kGrammarTag);
  }

  const std::shared_ptr<LoadedGrammar>& loaded() const { return loaded_; }

 private:
  Napi::Value memory_bytes(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), static_cast<double>(loaded_->grammar->memory_bytes())); }

  std::shared_ptr<LoadedGrammar> loaded_;
};

class NativeMatcher final : public Napi::ObjectWrap<NativeMatcher> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeMatcher",
                       {InstanceMethod<&NativeMatcher::accept>("accept"), InstanceMethod<&NativeMatcher::fill_mask>("fillMask"),
                        InstanceMethod<&NativeMatcher::forced_bytes>("forcedBytes"), InstanceMethod<&NativeMatcher::forced_token_id>("forcedTokenId"),
                        InstanceMethod<&NativeMatcher::has_longer_token>("hasLongerToken"), InstanceAccessor<&NativeMatcher::can_end>("canEnd"),
                        InstanceAccessor<&NativeMatcher::is_complete>("isComplete"), InstanceAccessor<&NativeMatcher::memory_bytes>("memoryBytes")});
  }

  /** (NativeGrammar). */
  explicit NativeMatcher(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeMatcher>(info), external_(info.Env()) {
    loaded_ = unwrap<NativeGrammar>(info[0], kGrammarTag, "a matcher is made of a NativeGrammar")->loaded();
    matcher_ = std::make_unique<grammar::Matcher>(loaded_->grammar);
  }

 private:
  bool expect_clear(Napi::Env env, Answer answer) {
    external_.report(matcher_->memory_bytes());
    if (answer != Answer::kTooAmbiguous) return answer == Answer::kYes;
    Napi::Error error = Napi::Error::New(env, "the grammar is too ambiguous for this text");
    error.Set("code", Napi::String::New(env, "GRAMMAR_TOO_AMBIGUOUS"));
    throw error;
  }

  Napi::Value accept(const Napi::CallbackInfo& info) {
    const double token = info[0].As<Napi::Number>().DoubleValue();
    if (!(token >= 0 && token < matcher_->grammar().trie().vocab_size())) return Napi::Boolean::New(info.Env(), false);
    return Napi::Boolean::New(info.Env(), expect_clear(info.Env(), matcher_->accept(static_cast<int32_t>(token))));
  }

  void fill_mask(const Napi::CallbackInfo& info) {
    const size_t numWords = (static_cast<size_t>(matcher_->grammar().trie().vocab_size()) + 31) / 32;
    const bool isWords = info[0].IsTypedArray() && info[0].As<Napi::TypedArray>().TypedArrayType() == napi_uint32_array;
    if (!isWords || info[0].As<Napi::Uint32Array>().ElementLength() < numWords) throw Napi::RangeError::New(info.Env(), "the mask has too few words");
    const Answer answer = matcher_->fill_mask(info[0].As<Napi::Uint32Array>().Data());
    loaded_->report();
    expect_clear(info.Env(), answer);
  }

  Napi::Value forced_bytes(const Napi::CallbackInfo& info) {
    const double maxBytes = info[0].As<Napi::Number>().DoubleValue();
    constexpr double kLimit = 1 << 20;
    std::vector<uint8_t> bytes;
    expect_clear(info.Env(), matcher_->forced_bytes(static_cast<int64_t>(std::fmin(std::fmax(maxBytes, 0.0), kLimit)), bytes));
    Napi::Uint8Array result = Napi::Uint8Array::New(info.Env(), bytes.size());
    std::copy(bytes.begin(), bytes.end(), result.Data());
    return result;
  }

  Napi::Value forced_token_id(const Napi::CallbackInfo& info) {
    const int32_t token = matcher_->forced_token();
    return token < 0 ? info.Env().Null() : Napi::Value(Napi::Number::New(info.Env(), token));
  }

  Napi::Value has_longer_token(const Napi::CallbackInfo& info) {
    const std::vector<uint8_t> bytes = copy_array<uint8_t>(info[0], napi_uint8_array, "bytes");
    return Napi::Boolean::New(info.Env(), expect_clear(info.Env(), matcher_->has_longer_token(bytes.data(), bytes.size())));
  }

  Napi::Value can_end(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), matcher_->can_end()); }
  Napi::Value is_complete(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), matcher_->is_complete()); }
  Napi::Value memory_bytes(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), static_cast<double>(matcher_->memory_bytes())); }

  std::shared_ptr<LoadedGrammar> loaded_;
  std::unique_ptr<grammar::Matcher> matcher_;
  ExternalMemory external_;
};

}  // namespace

void define_grammar(Napi::Env env, Napi::Object exports) {
  exports.Set("NativeVocabulary", NativeVocabulary::define(env));
  exports.Set("NativeGrammar", NativeGrammar::define(env));
  exports.Set("NativeMatcher", NativeMatcher::define(env));
}

}  // namespace inferd
