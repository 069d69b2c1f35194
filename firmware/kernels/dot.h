// Inner products of int8 weights with values spread to 16 bits, for two channels and one or two pixels.
//
// SXTB16 spreads bytes 0 and 2 of a word, and turned by 8 bits bytes 1 and 3. Values are spread that way once, weights
// while they are used: SMLAD then meets equal positions. Of each pixel two words follow each other; with two
// pixels those of the second follow those of the first, so that one LDM loads what two words of weights meet.
#pragma once

#include "dsp.h"

typedef struct {
  int32_t first[2], second[2];  // of the first and the second pixel, by channel
} Sums;

#if KERNEL_DSP

#define TWO_PIXELS_STEP                                                                                \
  "ldrd %[w0], %[w1], [%[weights]], #8\n\tldm %[values]!, {%[x0], %[x1], %[y0], %[y1]}\n\t"            \
  "sxtb16 %[t], %[w0]\n\tsmlad %[p0], %[t], %[x0], %[p0]\n\tsmlad %[q0], %[t], %[y0], %[q0]\n\t"       \
  "sxtb16 %[w0], %[w0], ror #8\n\tsmlad %[p0], %[w0], %[x1], %[p0]\n\tsmlad %[q0], %[w0], %[y1], %[q0]\n\t" \
  "sxtb16 %[t], %[w1]\n\tsmlad %[p1], %[t], %[x0], %[p1]\n\tsmlad %[q1], %[t], %[y0], %[q1]\n\t"       \
  "sxtb16 %[w1], %[w1], ror #8\n\tsmlad %[p1], %[w1], %[x1], %[p1]\n\tsmlad %[q1], %[w1], %[y1], %[q1]\n\t"

// In assembly since it needs all 14 registers, and the compiler never makes LDM of loads. Two steps a turn.
KERNEL_INLINE const uint32_t* dot_two_pixels(const uint32_t* weights, const uint32_t* values, const uint32_t* end,
                                             Sums* sums) {
  int32_t p0 = sums->first[0], p1 = sums->first[1], q0 = sums->second[0], q1 = sums->second[1];
  uint32_t w0, w1, t;
  register uint32_t x0 __asm__("r4");  // LDM takes registers in ascending order
  register uint32_t x1 __asm__("r5");
  register uint32_t y0 __asm__("r6");
  register uint32_t y1 __asm__("r8");
  __asm__ volatile(
      "sub %[t], %[end], %[values]\n\ttst %[t], #16\n\tbne 2f\n"  // an odd number of steps begins in the middle
      "1:\n\t" TWO_PIXELS_STEP "2:\n\t" TWO_PIXELS_STEP "cmp %[values], %[end]\n\tbne 1b"
      : [p0] "+r"(p0), [p1] "+r"(p1), [q0] "+r"(q0), [q1] "+r"(q1), [weights] "+r"(weights), [values] "+r"(values),
        [w0] "=&r"(w0), [w1] "=&r"(w1), [t] "=&r"(t), [x0] "=&r"(x0), [x1] "=&r"(x1), [y0] "=&r"(y0), [y1] "=&r"(y1)
      : [end] "r"(end)
      : "cc", "memory");
  *sums = (Sums){{p0, p1}, {q0, q1}};
  return weights;
}

#define ONE_PIXEL_STEP                                                                            \
  "ldrd %[w0], %[w1], [%[weights]], #8\n\tldrd %[x0], %[x1], [%[values]], #16\n\t"               \
  "sxtb16 %[t], %[w0]\n\tsmlad %[p0], %[t], %[x0], %[p0]\n\t"                                   \
  "sxtb16 %[t], %[w1]\n\tsmlad %[p1], %[t], %[x0], %[p1]\n\t"                                   \
  "sxtb16 %[t], %[w0], ror #8\n\tsmlad %[p0], %[t], %[x1], %[p0]\n\t"                           \
  "sxtb16 %[t], %[w1], ror #8\n\tsmlad %[p1], %[t], %[x1], %[p1]\n\t"

// One pixel, whose words stand where those of the first of two do.
KERNEL_INLINE const uint32_t* dot_one_pixel(const uint32_t* weights, const uint32_t* values, const uint32_t* end,
                                            Sums* sums) {
  int32_t p0 = sums->first[0], p1 = sums->first[1];
  uint32_t w0, w1, x0, x1, t;
  __asm__ volatile(
      "sub %[t], %[end], %[values]\n\ttst %[t], #16\n\tbne 2f\n"
      "1:\n\t" ONE_PIXEL_STEP "2:\n\t" ONE_PIXEL_STEP "cmp %[values], %[end]\n\tbne 1b"
      : [p0] "+r"(p0), [p1] "+r"(p1), [weights] "+r"(weights), [values] "+r"(values), [w0] "=&r"(w0), [w1] "=&r"(w1),
        [x0] "=&r"(x0), [x1] "=&r"(x1), [t] "=&r"(t)
      : [end] "r"(end)
      : "cc", "memory");
  sums->first[0] = p0;
  sums->first[1] = p1;
  return weights;
}

#else

KERNEL_INLINE const uint32_t* dot_two_pixels(const uint32_t* weights, const uint32_t* values, const uint32_t* end,
                                             Sums* sums) {
  for (; values != end; values += 4, weights += 2) {
    for (int channel = 0; channel < 2; ++channel) {
      const uint32_t even = sxtb16(weights[channel]), odd = sxtb16_ror8(weights[channel]);
      sums->first[channel] = smlad(odd, values[1], smlad(even, values[0], sums->first[channel]));
      sums->second[channel] = smlad(odd, values[3], smlad(even, values[2], sums->second[channel]));
    }
  }
  return weights;
}

KERNEL_INLINE const uint32_t* dot_one_pixel(const uint32_t* weights, const uint32_t* values, const uint32_t* end,
                                            Sums* sums) {
  for (; values != end; values += 4, weights += 2) {
    for (int channel = 0; channel < 2; ++channel) {
      const uint32_t even = sxtb16(weights[channel]), odd = sxtb16_ror8(weights[channel]);
      sums->first[channel] = smlad(odd, values[1], smlad(even, values[0], sums->first[channel]));
    }
  }
  return weights;
}

#endif
