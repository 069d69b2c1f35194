// Instructions of the DSP extension, and what they compute in plain C for a computer.
#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__ARM_FEATURE_DSP)
#define KERNEL_DSP 1
#else
#define KERNEL_DSP 0
#if defined(__arm__)
#error "these kernels need a core with the DSP extension: a Cortex-M4, M7 or M33; export with --engine tflm for another"
#endif
#endif

#define KERNEL_INLINE static inline __attribute__((always_inline))

// Four bytes at any address.
KERNEL_INLINE uint32_t load_word(const void* from) {
  uint32_t word;
  memcpy(&word, from, 4);
  return word;
}

KERNEL_INLINE void store_word(void* to, uint32_t word) { memcpy(to, &word, 4); }

// Half a word, which may be read as part of one: an assignment to int16_t would let the compiler assume it is not.
KERNEL_INLINE void store_half(void* to, int16_t half) { memcpy(to, &half, 2); }

#if KERNEL_DSP

KERNEL_INLINE uint32_t sxtb16(uint32_t x) {
  uint32_t result;
  __asm__("sxtb16 %0, %1" : "=r"(result) : "r"(x));
  return result;
}

KERNEL_INLINE uint32_t sxtb16_ror8(uint32_t x) {
  uint32_t result;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(x));
  return result;
}

KERNEL_INLINE int32_t smlad(uint32_t x, uint32_t y, int32_t sum) {
  int32_t result;
  __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(x), "r"(y), "r"(sum));
  return result;
}

// Adds two of the bytes that SXTB16 spreads to the halves of a word.
KERNEL_INLINE uint32_t sxtab16(uint32_t sums, uint32_t x) {
  __asm__("sxtab16 %0, %0, %1" : "+r"(sums) : "r"(x));
  return sums;
}

KERNEL_INLINE uint32_t sxtab16_ror8(uint32_t sums, uint32_t x) {
  __asm__("sxtab16 %0, %0, %1, ror #8" : "+r"(sums) : "r"(x));
  return sums;
}

// The low halves of x and y, x first, and the high ones.
KERNEL_INLINE uint32_t low_halves(uint32_t x, uint32_t y) {
  uint32_t result;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(x), "r"(y));
  return result;
}

KERNEL_INLINE uint32_t high_halves(uint32_t x, uint32_t y) {
  uint32_t result;
  __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(result) : "r"(y), "r"(x));
  return result;
}

// The low half of x by the high one of y, and the reverse.
KERNEL_INLINE int32_t smlabt(uint32_t x, uint32_t y, int32_t sum) {
  int32_t result;
  __asm__("smlabt %0, %1, %2, %3" : "=r"(result) : "r"(x), "r"(y), "r"(sum));
  return result;
}

KERNEL_INLINE int32_t smlatb(uint32_t x, uint32_t y, int32_t sum) {
  int32_t result;
  __asm__("smlatb %0, %1, %2, %3" : "=r"(result) : "r"(x), "r"(y), "r"(sum));
  return result;
}

// (x·y + sum·2^32 + 2^31) / 2^32, rounded down.
KERNEL_INLINE int32_t smmlar(int32_t x, int32_t y, int32_t sum) {
  int32_t result;
  __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(x), "r"(y), "r"(sum));
  return result;
}

KERNEL_INLINE int32_t ssat8(int32_t x) {
  int32_t result;
  __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(x));
  return result;
}

// x / 2^right, halves up, plus `add`. The last bit that ASRS shifts out is what ADC adds; only the low byte of `right`
// counts, and it must not be 0.
KERNEL_INLINE int32_t shift_round_add(int32_t x, uint32_t right, int32_t add) {
  __asm__("asrs %0, %0, %1\n\tadc %0, %0, %2" : "+r"(x) : "r"(right), "r"(add) : "cc");
  return x;
}

#else

KERNEL_INLINE uint32_t halves(int32_t low, int32_t high) { return (uint32_t)(low & 0xFFFF) | (uint32_t)high << 16; }
KERNEL_INLINE uint32_t sxtb16(uint32_t x) { return halves((int8_t)x, (int8_t)(x >> 16)); }
KERNEL_INLINE uint32_t sxtb16_ror8(uint32_t x) { return halves((int8_t)(x >> 8), (int8_t)(x >> 24)); }

KERNEL_INLINE uint32_t add_halves(uint32_t x, uint32_t y) {
  return ((x + y) & 0xFFFF) | ((x & 0xFFFF0000) + (y & 0xFFFF0000));
}
KERNEL_INLINE uint32_t sxtab16(uint32_t sums, uint32_t x) { return add_halves(sums, sxtb16(x)); }
KERNEL_INLINE uint32_t sxtab16_ror8(uint32_t sums, uint32_t x) { return add_halves(sums, sxtb16_ror8(x)); }

KERNEL_INLINE int32_t smlad(uint32_t x, uint32_t y, int32_t sum) {
  const int32_t low = (int16_t)x * (int16_t)y, high = (int16_t)(x >> 16) * (int16_t)(y >> 16);
  return (int32_t)((uint32_t)sum + (uint32_t)low + (uint32_t)high);  // wraps
}

KERNEL_INLINE uint32_t low_halves(uint32_t x, uint32_t y) { return (x & 0xFFFF) | y << 16; }
KERNEL_INLINE uint32_t high_halves(uint32_t x, uint32_t y) { return x >> 16 | (y & 0xFFFF0000); }

KERNEL_INLINE int32_t smlabt(uint32_t x, uint32_t y, int32_t sum) {
  return (int32_t)((uint32_t)sum + (uint32_t)((int16_t)x * (int16_t)(y >> 16)));
}

KERNEL_INLINE int32_t smlatb(uint32_t x, uint32_t y, int32_t sum) { return smlabt(y, x, sum); }

KERNEL_INLINE int32_t smmlar(int32_t x, int32_t y, int32_t sum) {
  return (int32_t)(((int64_t)x * y + (int64_t)sum * (INT64_C(1) << 32) + (INT64_C(1) << 31)) >> 32);
}

KERNEL_INLINE int32_t ssat8(int32_t x) { return x < -128 ? -128 : x > 127 ? 127 : x; }

KERNEL_INLINE int32_t shift_round_add(int32_t x, uint32_t right, int32_t add) {
  const uint32_t shift = right & 0xFF;
  return (x >> shift) + ((x >> (shift - 1)) & 1) + add;
}

#endif
