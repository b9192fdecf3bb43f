// One bit per token of the vocabulary: which may come. The allowed are gathered: to cross out the others would
// leave a branch at each token that nothing predicts.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>

#include "sampling/sample_row.h"

namespace inferd {

/** Word `word` of a mask, without the bits beyond the vocabulary. */
inline uint32_t mask_word(const uint32_t* mask, int32_t word, int32_t vocabSize) {
  const int32_t numTokens = vocabSize - word * 32;
  return numTokens >= 32 ? mask[word] : mask[word] & ((uint32_t{1} << numTokens) - 1);
}

inline int32_t count_words(int32_t vocabSize) { return (vocabSize + 31) / 32; }

inline int32_t count_allowed(const uint32_t* mask, int32_t vocabSize) {
  int32_t count = 0;
  for (int32_t word = 0; word < count_words(vocabSize); word++) count += std::popcount(mask_word(mask, word, vocabSize));
  return count;
}

/** out[i] = z of the i-th allowed token. May work in place. Returns how many. */
inline int32_t gather_allowed(const float* z, const uint32_t* mask, int32_t vocabSize, float* out) {
  int32_t count = 0;
  for (int32_t word = 0; word < count_words(vocabSize); word++)
    if (const uint32_t bits = mask_word(mask, word, vocabSize); bits == ~uint32_t{0}) {
      std::memmove(out + count, z + word * 32, sizeof(float) * 32);
      count += 32;
    } else {
      for (uint32_t rest = bits; rest != 0; rest &= rest - 1) out[count++] = z[word * 32 + std::countr_zero(rest)];
    }
  return count;
}

/** The index-th allowed token, index below their number. */
inline int32_t find_allowed(const uint32_t* mask, int32_t vocabSize, int32_t index) {
  int32_t word = 0;
  for (int32_t count; (count = std::popcount(mask_word(mask, word, vocabSize))) <= index; word++) index -= count;
  uint32_t bits = mask_word(mask, word, vocabSize);
  for (; index > 0; index--) bits &= bits - 1;
  return word * 32 + std::countr_zero(bits);
}

/** Null when every token is allowed. */
inline const uint32_t* mask_of(const SamplingColumns& s, int32_t row) {
  if (s.maskIndex == nullptr || s.maskIndex[row] < 0) return nullptr;
  return s.masks + static_cast<size_t>(s.maskIndex[row]) * static_cast<size_t>(s.maskWords);
}

/** A sentence about masks that do not fit the rows or the vocabulary, or null. */
inline const char* find_mask_fault(const SamplingColumns& s, int32_t numRows, int32_t vocabSize) {
  if (s.numMasks > 0 && s.maskWords != count_words(vocabSize)) return "masks have another width than the vocabulary";
  for (int32_t row = 0; s.maskIndex != nullptr && row < numRows; row++)
    if (s.maskIndex[row] < -1 || s.maskIndex[row] >= s.numMasks) return "a mask index is outside the masks";
  return nullptr;
}

}  // namespace inferd
