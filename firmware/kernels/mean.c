#include "requantize.h"

void kernel_mean(const KernelMean* mean, const int8_t* input, int8_t* output) {
  const uint32_t inner = mean->inner;
  for (uint32_t outer = 0; outer < mean->outer; ++outer) {
    for (uint32_t i = 0; i < inner; ++i) {
      const int8_t* from = input + i;
      int32_t sum = mean->start;
      for (uint32_t left = mean->reduced; left > 0; --left) {
        sum += *from;
        from += inner;
      }
      sum = scale_any(sum, mean->multiplier, mean->left, mean->right) + mean->output_zero;
      *output++ = clamped(sum, -128, 127);
    }
    input += mean->reduced * inner;
  }
}
