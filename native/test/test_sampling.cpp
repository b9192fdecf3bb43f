// Sampling with every parameter in random combination, and with values that no door lets in: a token inside the vocabulary and
// its mask, and no access out of bounds. That it is the right token is shown by tests/parity/native-sampling.test.ts.
#include <cmath>
#include <limits>

#include "guarded.h"
#include "sampling/sample_row.h"
#include "suites.h"

namespace inferd::test {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kExtremes[] = {0, -0.0f, 1e-45f, 1e-38f, -1e-38f, 1e38f, 1, -1, 2, kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()};

float extreme(Random& random) { return kExtremes[random.below(12)]; }

/** Full, of a few tokens, or of any; bits beyond the vocabulary are set at times. */
void fill_mask(Guarded<uint32_t>& mask, Random& random, int32_t vocabSize) {
  const int32_t kind = random.below(4);
  for (size_t word = 0; word < mask.count(); word++) mask[word] = kind == 0 ? ~0u : kind == 1 ? random.next() * 2 : 0;
  for (int32_t i = 0; kind == 2 && i < 3; i++) {
    const int32_t id = random.below(vocabSize);
    mask[static_cast<size_t>(id / 32)] |= 1u << (id % 32);
  }
}

bool is_allowed(Guarded<uint32_t>& mask, int32_t id) { return (mask[static_cast<size_t>(id / 32)] >> (id % 32) & 1) != 0; }

int32_t count_allowed(Guarded<uint32_t>& mask, int32_t vocabSize) {
  int32_t count = 0;
  for (int32_t id = 0; id < vocabSize; id++) count += is_allowed(mask, id) ? 1 : 0;
  return count;
}

void test_extremes() {
  Random random(31);
  int32_t numOf[3] = {0, 0, 0};
  for (int i = 0; i < 20000; i++) {
    const int32_t vocabSize = 1 + random.below(9);
    Guarded<float> logits(static_cast<size_t>(vocabSize));
    for (size_t id = 0; id < logits.count(); id++) logits[id] = random.below(3) == 0 ? random.unit() * 3e38f : random.unit();
    float parameters[6] = {1, 1, 0, 1, 0, 0};
    for (float& parameter : parameters) parameter = random.below(3) == 0 ? extreme(random) : parameter;
    const int32_t topK = random.below(5) - 1, numTop = random.below(22) - 1;
    const int32_t penaltyStarts[] = {0, 2}, penaltyIds[] = {vocabSize - 1, 0}, penaltyCounts[] = {1, 0}, biasStarts[] = {0, vocabSize};
    int32_t biasIds[9];
    float biasValues[9];
    for (int32_t id = 0; id < vocabSize; id++) biasIds[id] = id, biasValues[id] = i % 3 == 0 ? -kInfinity : random.below(4) == 0 ? extreme(random) : 0.0f;
    const uint32_t seed = random.next();
    const int32_t maskIndex = random.below(4) == 0 ? 0 : -1;
    Guarded<uint32_t> mask(1);
    fill_mask(mask, random, vocabSize);
    const SamplingColumns columns = {&parameters[0], &parameters[1], &parameters[2], &parameters[3], &parameters[4], &parameters[5], &topK, &numTop, penaltyStarts,
                                     penaltyIds, penaltyCounts, biasStarts, biasIds, &seed, &seed, biasValues, &maskIndex, mask.data(), 1, 1};
    int32_t token = -1;
    uint8_t status = 9;
    Guarded<float> logprob(1), topLogprobs(kMaxTopLogprobs);
    Guarded<int32_t> topIds(kMaxTopLogprobs);
    SamplingScratch scratch;
    prepare_scratch(scratch, vocabSize);
    sample_row(logits.data(), vocabSize, columns, 0, scratch, {&token, &status, logprob.data(), topIds.data(), topLogprobs.data()});
    expect(status <= kAllForbidden && token >= 0 && token < vocabSize && (status == kSampled || token == 0), "sampled token");
    numOf[status]++;
  }
  expect(numOf[kSampled] > 1000 && numOf[kNonFinite] > 1000 && numOf[kAllForbidden] > 1000, "extremes reach every status");
}

}  // namespace

void test_sampling() {
  test_extremes();
  Random random(17);
  for (int i = 0; i < 2000; i++) {
    const int32_t vocabSize = 1 + random.below(700);
    Guarded<float> logits(static_cast<size_t>(vocabSize));
    for (size_t id = 0; id < logits.count(); id++) logits[id] = random.unit() * static_cast<float>(1 << random.below(6));
    const float temperature = random.below(2) == 0 ? 0.0f : 0.1f + 2.0f * (random.unit() + 1.0f), topP = random.below(2) == 0 ? 1.0f : 0.5f * (random.unit() + 1.0f);
    const float minP = random.below(2) == 0 ? 0.0f : 0.25f * (random.unit() + 1.0f), penalty = 1.0f + 0.5f * random.unit();
    const int32_t topK = random.below(2) == 0 ? 0 : random.below(vocabSize + 20), numTop = random.below(22) - 1;
    const uint32_t seed = random.next(), draw = random.next();
    const int32_t penaltyStarts[] = {0, 2}, penaltyIds[] = {random.below(vocabSize), 0}, penaltyCounts[] = {1, 0}, biasStarts[] = {0, 1}, biasIds[] = {vocabSize - 1};
    const float biasValues[] = {random.unit()};
    const int32_t maskWords = (vocabSize + 31) / 32, maskIndex = random.below(2) - 1;
    Guarded<uint32_t> mask(static_cast<size_t>(maskWords));
    fill_mask(mask, random, vocabSize);
    const SamplingColumns columns = {&temperature, &topP, &minP, &penalty, &penalty, &penalty, &topK, &numTop, penaltyStarts,
                                     penaltyIds, penaltyCounts, biasStarts, biasIds, &seed, &draw, biasValues, &maskIndex, mask.data(), 1, maskWords};
    int32_t token = -1;
    uint8_t nonFinite = 2;
    Guarded<float> logprob(1), topLogprobs(kMaxTopLogprobs);
    Guarded<int32_t> topIds(kMaxTopLogprobs);
    SamplingScratch scratch;
    prepare_scratch(scratch, vocabSize);
    sample_row(logits.data(), vocabSize, columns, 0, scratch, {&token, &nonFinite, logprob.data(), topIds.data(), topLogprobs.data()});
    const bool isForbidden = maskIndex == 0 && count_allowed(mask, vocabSize) == 0;
    expect(nonFinite == (isForbidden ? kAllForbidden : kSampled) && token >= 0 && token < vocabSize, "sampled token");
    expect(isForbidden || maskIndex < 0 || is_allowed(mask, token), "a token that the mask forbids");
  }
}

}  // namespace inferd::test
