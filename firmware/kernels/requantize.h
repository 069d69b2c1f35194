// From an accumulator to an output, rounded twice as TensorFlow Lite does: x·m/2^31 with halves up, then the division by a
// power of two with halves away from zero. Exact while |x| < 2^31 after the shift to the left, which the export proves.
#pragma once

#include "dsp.h"
#include "kernels.h"

typedef struct {
  int32_t zero, low, high;
} Bounds;

// `shifts`: the shift to the right in the low byte, that to the left in the third one; `mode` is a constant where it is used.
KERNEL_INLINE int8_t requantize(int32_t x, int32_t multiplier, uint32_t shifts, const Bounds* bounds, int mode) {
  if (mode == KERNEL_CLAMP) x = (int32_t)((uint32_t)x << (shifts >> 16 & 0xFF));
  int32_t high = smmlar(x, multiplier, x);  // the multiplier is 2m - 2^32, so this is x·m/2^31
  if (mode == KERNEL_CLAMP) {
    const uint32_t right = shifts & 0xFF;
    if (right != 0) high = shift_round_add(high + (high >> 31), right, 0);
    high += bounds->zero;
    return (int8_t)(high < bounds->low ? bounds->low : high > bounds->high ? bounds->high : high);
  }
  if (mode == KERNEL_ROUND) high += high >> 31;
  return (int8_t)ssat8(shift_round_add(high, shifts, bounds->zero));
}

// The same in plain C, for any multiplier m of 31 bits: x·2^left·m/2^31, then the division by 2^right.
KERNEL_INLINE int32_t scale_any(int32_t x, int32_t multiplier, uint32_t left, uint32_t right) {
  const int64_t product = (int64_t)(int32_t)((uint32_t)x << left) * multiplier + (INT64_C(1) << 30);
  const int64_t high = product >> 31;
  if (right == 0) return (int32_t)high;
  return (int32_t)((high + (high >> 63) + (INT64_C(1) << (right - 1))) >> right);
}

KERNEL_INLINE int8_t clamped(int32_t x, int32_t low, int32_t high) { return (int8_t)(x < low ? low : x > high ? high : x); }
