// Sampling with every parameter in random combination, and with values that no door lets in: a token inside the vocabulary
// and no access out of bounds. That it is the right token is shown by tests/parity/native-sampling.test.ts.
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
    const SamplingColumns columns = {&parameters[0], &parameters[1], &parameters[2], &parameters[3], &parameters[4], &parameters[5], &topK, &numTop, penaltyStarts,
                                     penaltyIds, penaltyCounts, biasStarts, biasIds, &seed, &seed, biasValues};
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
    const SamplingColumns columns = {&temperature, &topP, &minP, &penalty, &penalty, &penalty, &topK, &numTop, penaltyStarts,
                                     penaltyIds, penaltyCounts, biasStarts, biasIds, &seed, &draw, biasValues};
    int32_t token = -1;
    uint8_t nonFinite = 2;
    Guarded<float> logprob(1), topLogprobs(kMaxTopLogprobs);
    Guarded<int32_t> topIds(kMaxTopLogprobs);
    SamplingScratch scratch;
    prepare_scratch(scratch, vocabSize);
    sample_row(logits.data(), vocabSize, columns, 0, scratch, {&token, &nonFinite, logprob.data(), topIds.data(), topLogprobs.data()});
    expect(token >= 0 && token < vocabSize && nonFinite == 0, "sampled token");
  }
}

}  // namespace inferd::test
