// Sums of windows for two or four neighbours of a row. `values` is the first word that the first window sees, `pitch` the
// bytes from a row to the next; `weights` are a channel's, spread: of each row the pairs that begin at even places, then
// those that begin at odd ones. An output at an even place meets the former and, of the last pair, the high half; its
// neighbour meets the low half of the first pair and all of the latter. With a stride of 2 all are at even places.
#pragma once

#include "dsp.h"

KERNEL_INLINE void add_row(const uint32_t* values, const uint32_t* weights, int32_t* sums, int window, int stride,
                           int count) {
  const int half = window / 2;
  const uint32_t *even = weights, *odd = weights + half;
#pragma GCC unroll 4
  for (int i = 0; i < count; ++i) {
    const uint32_t* first = values + (stride == 1 ? i / 2 : i);
    int32_t sum = sums[i];
    if (stride == 1 && i % 2 == 1) {
      sum = smlatb(first[0], even[0], sum);
#pragma GCC unroll 3
      for (int pair = 0; pair < half; ++pair) sum = smlad(first[pair + 1], odd[pair], sum);
    } else {
#pragma GCC unroll 3
      for (int pair = 0; pair < half; ++pair) sum = smlad(first[pair], even[pair], sum);
      sum = smlabt(first[half], odd[half - 1], sum);
    }
    sums[i] = sum;
  }
}

KERNEL_INLINE void add_rows(const uint32_t* values, int pitch, const uint32_t* weights, int32_t* sums, int window,
                            int stride, int count) {
#pragma GCC unroll 1
  for (int row = 0; row < window; ++row) {
    add_row(values, weights, sums, window, stride, count);
    values = (const uint32_t*)((const char*)values + pitch);
    weights += 2 * (window / 2);
  }
}

#if KERNEL_DSP

// One row of 3 weights; the sums of all but the last output start with that of the last one, which is the bias, in the
// first row. In assembly since LDM loads a row at once, and all fits the registers.
#define ROW "ldrd %[w0], %[w1], [%[weights]], #8\n\tldm %[values], "
#define NEXT "add %[values], %[pitch]\n\t"
#define EVEN(s, x, y, start) "smlad %[" #s "], %[" #x "], %[w0], %[" #start "]\n\tsmlabt %[" #s "], %[" #y "], %[w1], %[" #s "]\n\t"
#define ODD(s, x, y, start) "smlatb %[" #s "], %[" #x "], %[w0], %[" #start "]\n\tsmlad %[" #s "], %[" #y "], %[w1], %[" #s "]\n\t"
#define INPUTS [weights] "+r"(weights), [values] "+r"(values), [w0] "=&r"(w0), [w1] "=&r"(w1), [x0] "=&r"(x0), [x1] "=&r"(x1)

KERNEL_INLINE void sums_3_of_4(const uint32_t* values, int pitch, const uint32_t* weights, int32_t* sums) {
  int32_t s0, s1, s2, s3 = sums[3];
  uint32_t w0, w1;
  register uint32_t x0 __asm__("r4");
  register uint32_t x1 __asm__("r5");
  register uint32_t x2 __asm__("r6");
#define LOAD ROW "{%[x0], %[x1], %[x2]}\n\t" NEXT
  __asm__ volatile(
      LOAD EVEN(s0, x0, x1, s3) ODD(s1, x0, x1, s3) EVEN(s2, x1, x2, s3) ODD(s3, x1, x2, s3)
      LOAD EVEN(s0, x0, x1, s0) ODD(s1, x0, x1, s1) EVEN(s2, x1, x2, s2) ODD(s3, x1, x2, s3)
      LOAD EVEN(s0, x0, x1, s0) ODD(s1, x0, x1, s1) EVEN(s2, x1, x2, s2) ODD(s3, x1, x2, s3)
      : [s0] "=&r"(s0), [s1] "=&r"(s1), [s2] "=&r"(s2), [s3] "+r"(s3), INPUTS, [x2] "=&r"(x2)
      : [pitch] "r"(pitch)
      : "memory");
#undef LOAD
  sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3;
}

KERNEL_INLINE void sums_3_of_2(const uint32_t* values, int pitch, const uint32_t* weights, int32_t* sums) {
  int32_t s0, s1 = sums[1];
  uint32_t w0, w1;
  register uint32_t x0 __asm__("r4");
  register uint32_t x1 __asm__("r5");
#define LOAD ROW "{%[x0], %[x1]}\n\t" NEXT
  __asm__ volatile(
      LOAD EVEN(s0, x0, x1, s1) ODD(s1, x0, x1, s1)
      LOAD EVEN(s0, x0, x1, s0) ODD(s1, x0, x1, s1)
      LOAD EVEN(s0, x0, x1, s0) ODD(s1, x0, x1, s1)
      : [s0] "=&r"(s0), [s1] "+r"(s1), INPUTS
      : [pitch] "r"(pitch)
      : "memory");
#undef LOAD
  sums[0] = s0, sums[1] = s1;
}

KERNEL_INLINE void sums_3_by_2_of_4(const uint32_t* values, int pitch, const uint32_t* weights, int32_t* sums) {
  int32_t s0, s1, s2, s3 = sums[3];
  uint32_t w0, w1;
  register uint32_t x0 __asm__("r4");
  register uint32_t x1 __asm__("r5");
  register uint32_t x2 __asm__("r6");
  register uint32_t x3 __asm__("r8");
  register uint32_t x4 __asm__("r9");
#define LOAD ROW "{%[x0], %[x1], %[x2], %[x3], %[x4]}\n\t" NEXT
  __asm__ volatile(
      LOAD EVEN(s0, x0, x1, s3) EVEN(s1, x1, x2, s3) EVEN(s2, x2, x3, s3) EVEN(s3, x3, x4, s3)
      LOAD EVEN(s0, x0, x1, s0) EVEN(s1, x1, x2, s1) EVEN(s2, x2, x3, s2) EVEN(s3, x3, x4, s3)
      LOAD EVEN(s0, x0, x1, s0) EVEN(s1, x1, x2, s1) EVEN(s2, x2, x3, s2) EVEN(s3, x3, x4, s3)
      : [s0] "=&r"(s0), [s1] "=&r"(s1), [s2] "=&r"(s2), [s3] "+r"(s3), INPUTS, [x2] "=&r"(x2), [x3] "=&r"(x3),
        [x4] "=&r"(x4)
      : [pitch] "r"(pitch)
      : "memory");
#undef LOAD
  sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3;
}

KERNEL_INLINE void sums_3_by_2_of_2(const uint32_t* values, int pitch, const uint32_t* weights, int32_t* sums) {
  int32_t s0, s1 = sums[1];
  uint32_t w0, w1;
  register uint32_t x0 __asm__("r4");
  register uint32_t x1 __asm__("r5");
  register uint32_t x2 __asm__("r6");
#define LOAD ROW "{%[x0], %[x1], %[x2]}\n\t" NEXT
  __asm__ volatile(
      LOAD EVEN(s0, x0, x1, s1) EVEN(s1, x1, x2, s1)
      LOAD EVEN(s0, x0, x1, s0) EVEN(s1, x1, x2, s1)
      LOAD EVEN(s0, x0, x1, s0) EVEN(s1, x1, x2, s1)
      : [s0] "=&r"(s0), [s1] "+r"(s1), INPUTS, [x2] "=&r"(x2)
      : [pitch] "r"(pitch)
      : "memory");
#undef LOAD
  sums[0] = s0, sums[1] = s1;
}

#undef ROW
#undef NEXT
#undef EVEN
#undef ODD
#undef INPUTS

#endif

// Adds the windows of `count` neighbours to `sums`, which all hold the bias.
KERNEL_INLINE void sum_windows(const uint32_t* values, int pitch, const uint32_t* weights, int32_t* sums, int window,
                               int stride, int count) {
#if KERNEL_DSP
  if (window == 3) {
    if (stride == 1) (count == 4 ? sums_3_of_4 : sums_3_of_2)(values, pitch, weights, sums);
    if (stride == 2) (count == 4 ? sums_3_by_2_of_4 : sums_3_by_2_of_2)(values, pitch, weights, sums);
    return;
  }
#endif
  add_rows(values, pitch, weights, sums, window, stride, count);
}
