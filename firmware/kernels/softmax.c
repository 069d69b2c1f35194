// Fixed point as TensorFlow Lite's, its exponentials from a table: those of all differences to the largest value.
#include "requantize.h"

#define NEWTON_STEPS 3  // of Newton's method, as TensorFlow Lite takes

static int32_t high_product(int32_t x, int32_t y) { return scale_any(x, y, 0, 0); }

static int32_t doubled(int32_t x, int shift) {
  const int64_t wide = (int64_t)x * (1 << shift);
  return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

// 1 / (1 + x) in 0.31 bits, for x from 0 to 1 in 0.31 bits: the iterations have numbers of 2.29 bits.
static int32_t reciprocal_of_one_plus(int32_t x) {
  const int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
  int32_t y = 1515870810 + high_product(half, -1010580540);  // 48/17 - 32/17·half
  for (int i = 0; i < NEWTON_STEPS; ++i) {
    const int32_t error = (1 << 29) - high_product(half, y);
    y += doubled(high_product(y, error), 2);
  }
  return doubled(y, 1);
}

static int leading_zeros(uint32_t x) { return x == 0 ? 32 : __builtin_clz(x); }

static void softmax_row(const KernelSoftmax* softmax, const int8_t* input, int8_t* output) {
  int32_t most = -128, sum = 0;
  for (uint32_t i = 0; i < softmax->depth; ++i) most = input[i] > most ? input[i] : most;
  for (uint32_t i = 0; i < softmax->depth; ++i) {
    const uint32_t difference = (uint32_t)(most - input[i]);
    if (difference < softmax->entries) sum += (int32_t)(((uint32_t)softmax->exp[difference] + (1 << 11)) >> 12);
  }
  const int zeros = leading_zeros((uint32_t)sum);
  const int32_t scale = reciprocal_of_one_plus((int32_t)(((uint32_t)sum << zeros) - (UINT32_C(1) << 31)));
  const uint32_t right = (uint32_t)(12 - zeros + 31 - 8);
  for (uint32_t i = 0; i < softmax->depth; ++i) {
    const uint32_t difference = (uint32_t)(most - input[i]);
    int32_t value = -128;
    if (difference < softmax->entries) {
      const int32_t product = high_product(scale, softmax->exp[difference]);  // never negative
      value += (int32_t)(((int64_t)product + (INT64_C(1) << right >> 1)) >> right);
    }
    output[i] = clamped(value, -128, 127);
  }
}

void kernel_softmax(const KernelSoftmax* softmax, const int8_t* input, int8_t* output) {
  for (uint32_t row = 0; row < softmax->rows; ++row) {
    softmax_row(softmax, input, output);
    input += softmax->depth;
    output += softmax->depth;
  }
}
