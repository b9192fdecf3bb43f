#include "sampling/sample_row.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "half.h"
#include "sampling/token_mask.h"

namespace inferd {
namespace {

uint32_t mix32(uint32_t x) {
  x = (x ^ (x >> 16)) * 0x21f0aaadu;
  x = (x ^ (x >> 15)) * 0x735a2d97u;
  return x ^ (x >> 15);
}

double uniform_draw(uint32_t seed, uint32_t drawIndex) {
  return static_cast<double>(mix32(mix32(seed + 0x9e3779b9u) + mix32(drawIndex + 0x85ebca6bu))) / 4294967296.0;
}

bool all_finite(const float* x, int32_t count) {
  uint32_t numBad = 0;
  for (int32_t i = 0; i < count; i++) numBad += (f32_to_bits(x[i]) & 0x7f800000u) == 0x7f800000u ? 1u : 0u;
  return numBad == 0;
}

/** The lowest id of the largest value. */
int32_t find_largest(const float* x, int32_t count) {
  constexpr int32_t kBlock = 1024;
  float best = x[0];
  int32_t bestBlock = 0;
  for (int32_t start = 0; start < count; start += kBlock) {
    const int32_t end = std::min(count, start + kBlock);
    float lane[8];
    for (float& value : lane) value = x[start];
    int32_t i = start;
    for (; i + 8 <= end; i += 8)
      for (int32_t j = 0; j < 8; j++) lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
    for (; i < end; i++) lane[0] = x[i] > lane[0] ? x[i] : lane[0];
    for (const float value : lane)
      if (value > best) {
        best = value;
        bestBlock = start;
      }
  }
  int32_t id = bestBlock;
  while (id + 1 < count && x[id] != best) id++;
  return id;
}

void apply_bias(float* z, const SamplingColumns& s, int32_t row) {
  for (int32_t i = s.biasStarts[row]; i < s.biasStarts[row + 1]; i++) z[s.biasTokenIds[i]] += s.biasValues[i];
}

void apply_penalties(float* z, const SamplingColumns& s, int32_t row) {
  const double repetition = s.repetitionPenalty[row], frequency = s.frequencyPenalty[row], presence = s.presencePenalty[row];
  for (int32_t i = s.penaltyStarts[row]; i < s.penaltyStarts[row + 1]; i++) {
    float& logit = z[s.penaltyTokenIds[i]];
    const double value = logit;
    const double repeated = value > 0 ? value / repetition : value * repetition;
    logit = static_cast<float>(repeated - frequency * s.penaltyCounts[i] - (s.penaltyCounts[i] > 0 ? presence : 0.0));
  }
}

/** Whether a bias or a penalty made a NaN or +infinity; entries without one are finite already. */
bool has_overflow(const float* z, const SamplingColumns& s, int32_t row) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  bool isSound = true;
  for (int32_t i = s.biasStarts[row]; i < s.biasStarts[row + 1]; i++) isSound = isSound && z[s.biasTokenIds[i]] < kInfinity;
  for (int32_t i = s.penaltyStarts[row]; i < s.penaltyStarts[row + 1]; i++) isSound = isSound && z[s.penaltyTokenIds[i]] < kInfinity;
  return !isSound;
}

/** exp((z - max) / temperature), 0 where it underflows f64. */
double weight_of(float z, float max, double temperature) { return std::exp((static_cast<double>(z) - static_cast<double>(max)) / temperature); }

int32_t draw_from_whole(const float* z, int32_t vocabSize, float max, double temperature, double u, SamplingScratch& scratch) {
  double total = 0;
  for (int32_t id = 0; id < vocabSize; id++) {
    scratch.weights[static_cast<size_t>(id)] = weight_of(z[id], max, temperature);
    total += scratch.weights[static_cast<size_t>(id)];
  }
  const double target = u * total;
  double sum = 0;
  int32_t last = 0;
  for (int32_t id = 0; id < vocabSize; id++) {
    const double weight = scratch.weights[static_cast<size_t>(id)];
    if (weight == 0) continue;
    sum += weight;
    last = id;
    if (sum > target) return id;
  }
  return last;
}

/** Puts the `count` best ids (larger z, then lower id) of ids[0, total) first, in order. */
void sort_best(int32_t* ids, int32_t total, int32_t count, const float* z) {
  const auto isBetter = [z](int32_t a, int32_t b) { return z[a] > z[b] || (z[a] == z[b] && a < b); };
  if (count < total) std::nth_element(ids, ids + count, ids + total, isBetter);
  std::sort(ids, ids + count, isBetter);
}

/** The smallest z whose weight may pass minP, a little too low on purpose: the exact test follows. */
float lowest_candidate(float max, double temperature, double minP) {
  const double reach = minP > 0 ? std::log(minP) : -746.0;
  const double low = static_cast<double>(max) + (reach - 1e-6) * temperature - 1e-6 * std::abs(static_cast<double>(max));
  return static_cast<float>(low) - std::abs(static_cast<float>(low)) * 1e-6f;
}

/** Candidates by z alone into ids; returns how many. With top-k, a first cut keeps only what can be among the best k. */
int32_t collect_candidates(const float* z, int32_t vocabSize, float low, int32_t topK, SamplingScratch& scratch) {
  int32_t* ids = scratch.ids.data();
  int32_t count = 0;
  const bool isCapped = topK > 0 && topK < vocabSize;
  // When twice topK have gathered, keep the best half and raise the bar: one pass, few survivors.
  const int32_t room = isCapped ? std::max(2 * topK, 256) : vocabSize;
  for (int32_t id = 0; id < vocabSize; id++) {
    if (!(z[id] >= low)) continue;
    ids[count++] = id;
    if (!isCapped || count < room || id + 1 == vocabSize) continue;
    const auto isBetter = [z](int32_t a, int32_t b) { return z[a] > z[b] || (z[a] == z[b] && a < b); };
    std::nth_element(ids, ids + topK - 1, ids + count, isBetter);
    low = z[ids[topK - 1]];
    count = topK;
  }
  return count;
}

int32_t draw_in_order(const int32_t* ids, int32_t count, const double* weights, double total, double u, int32_t best) {
  if (count == 0) return best;
  double sum = 0;
  for (int32_t i = 0; i < count; i++) {
    sum += weights[i];
    if (sum > u * total) return ids[i];
  }
  return ids[count - 1];
}

/** Sorted candidates and their weights for a growing prefix of the best. */
struct Prefix {
  int32_t sorted = 0;
  int32_t kept = 0;
};

/** Sorts the best `count` candidates and drops the tail that fails the exact tests. */
Prefix sort_prefix(int32_t count, int32_t total, const float* z, float max, double temperature, double minP, SamplingScratch& scratch) {
  sort_best(scratch.ids.data(), total, count, z);
  Prefix prefix = {count, 0};
  while (prefix.kept < count) {
    const double weight = weight_of(z[scratch.ids[static_cast<size_t>(prefix.kept)]], max, temperature);
    if (!(weight > 0 && weight >= minP)) break;
    scratch.weights[static_cast<size_t>(prefix.kept++)] = weight;
  }
  return prefix;
}

double sum_weights(const double* weights, int32_t count) {
  double total = 0;
  for (int32_t i = 0; i < count; i++) total += weights[i];
  return total;
}

int32_t draw_from_candidates(const float* z, int32_t vocabSize, int32_t best, const SamplingColumns& s, int32_t row, double u, SamplingScratch& scratch) {
  const float max = z[best];
  const double temperature = s.temperature[row], topP = s.topP[row], minP = s.minP[row];
  const int32_t topK = s.topK[row];
  const int32_t total = collect_candidates(z, vocabSize, lowest_candidate(max, temperature, minP), topK, scratch);
  const int32_t limit = topK > 0 ? std::min(topK, total) : total;
  const int32_t* ids = scratch.ids.data();
  if (!(topP < 1)) {
    const Prefix all = sort_prefix(limit, total, z, max, temperature, minP, scratch);
    return draw_in_order(ids, all.kept, scratch.weights.data(), sum_weights(scratch.weights.data(), all.kept), u, best);
  }
  double mass = 0;
  if (topK <= 0 || topK >= vocabSize) {
    for (int32_t i = 0; i < total; i++) {
      const double weight = weight_of(z[ids[i]], max, temperature);
      if (weight >= minP) mass += weight;
    }
  }
  for (int32_t count = std::min(limit, 256);; count = std::min(limit, count * 16)) {
    const Prefix prefix = sort_prefix(count, total, z, max, temperature, minP, scratch);
    if (topK > 0 && topK < vocabSize && count < limit) continue;
    if (topK > 0 && topK < vocabSize) mass = sum_weights(scratch.weights.data(), prefix.kept);
    double sum = 0;
    int32_t kept = 0;
    while (kept < prefix.kept) {
      sum += scratch.weights[static_cast<size_t>(kept++)];
      if (sum >= topP * mass) return draw_in_order(ids, kept, scratch.weights.data(), sum, u, best);
    }
    if (prefix.kept < count || count == limit) return draw_in_order(ids, kept, scratch.weights.data(), sum, u, best);
  }
}

void fill_logprobs(const float* logits, int32_t vocabSize, int32_t token, int32_t numTop, int32_t row, SamplingScratch& scratch, const SampledColumns& out) {
  const double max = logits[find_largest(logits, vocabSize)];
  double total = 0;
  for (int32_t i = 0; i < vocabSize; i++) total += std::exp(static_cast<double>(logits[i]) - max);
  const double logTotal = std::log(total);
  out.logprobs[row] = static_cast<float>(static_cast<double>(logits[token]) - max - logTotal);
  const int32_t numBest = std::min({numTop, vocabSize, kMaxTopLogprobs});
  if (numBest <= 0) return;
  const int32_t gathered = collect_candidates(logits, vocabSize, -std::numeric_limits<float>::infinity(), numBest, scratch);
  sort_best(scratch.ids.data(), gathered, numBest, logits);
  for (int32_t i = 0; i < numBest; i++) {
    const int32_t id = scratch.ids[static_cast<size_t>(i)];
    out.topTokenIds[row * kMaxTopLogprobs + i] = id;
    out.topLogprobs[row * kMaxTopLogprobs + i] = static_cast<float>(static_cast<double>(logits[id]) - max - logTotal);
  }
}

bool is_whole_vocabulary(const SamplingColumns& s, int32_t row, int32_t vocabSize) {
  return (s.topK[row] <= 0 || s.topK[row] >= vocabSize) && s.topP[row] >= 1 && s.minP[row] <= 0;
}

}  // namespace

void prepare_scratch(SamplingScratch& scratch, int32_t vocabSize) {
  scratch.logits.resize(static_cast<size_t>(vocabSize));
  scratch.ids.resize(static_cast<size_t>(vocabSize));
  scratch.weights.resize(static_cast<size_t>(vocabSize));
}

void sample_row(const float* logits, int32_t vocabSize, const SamplingColumns& s, int32_t row, SamplingScratch& scratch, const SampledColumns& out) {
  out.tokenIds[row] = 0;
  out.logprobs[row] = 0;
  out.nonFinite[row] = all_finite(logits, vocabSize) ? kSampled : kNonFinite;
  if (out.nonFinite[row] != kSampled) return;
  const float* z = logits;
  if (s.biasStarts[row + 1] > s.biasStarts[row] || s.penaltyStarts[row + 1] > s.penaltyStarts[row]) {
    float* changed = scratch.logits.data();
    std::memcpy(changed, logits, sizeof(float) * static_cast<size_t>(vocabSize));
    apply_bias(changed, s, row);
    apply_penalties(changed, s, row);
    if (has_overflow(changed, s, row)) {
      out.nonFinite[row] = kNonFinite;
      return;
    }
    z = changed;
  }
  const uint32_t* mask = mask_of(s, row);
  int32_t numTokens = vocabSize;
  bool isGathered = false;
  if (mask != nullptr) {
    const int32_t numAllowed = count_allowed(mask, vocabSize);
    isGathered = numAllowed < vocabSize;
    // What is drawn from the allowed alone, in order of their ids, is what is drawn where all others have weight 0.
    if (isGathered) {
      numTokens = gather_allowed(z, mask, vocabSize, scratch.logits.data());
      z = scratch.logits.data();
    }
  }
  int32_t token = numTokens == 0 ? 0 : find_largest(z, numTokens);
  if (numTokens == 0 || z[token] == -std::numeric_limits<float>::infinity()) {
    out.nonFinite[row] = kAllForbidden;
    return;
  }
  if (s.temperature[row] != 0) {
    const double u = uniform_draw(s.seed[row], s.drawIndex[row]);
    token = is_whole_vocabulary(s, row, vocabSize) ? draw_from_whole(z, numTokens, z[token], s.temperature[row], u, scratch)
                                                   : draw_from_candidates(z, numTokens, token, s, row, u, scratch);
  }
  if (isGathered) token = find_allowed(mask, vocabSize, token);
  out.tokenIds[row] = token;
  if (s.numTopLogprobs[row] >= 0) fill_logprobs(logits, vocabSize, token, s.numTopLogprobs[row], row, scratch, out);
}

}  // namespace inferd
