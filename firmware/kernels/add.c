// Both inputs are brought to half of the larger scale, 20 bits to the left: of that one itself a shift by 19 is all.
#include "requantize.h"
#include "ring.h"

// `mode` is a constant where this is used.
KERNEL_INLINE void add_all(const KernelAdd* add, const int8_t* larger, const int8_t* smaller, int8_t* output, int mode) {
  const int32_t larger_offset = add->larger_offset, smaller_offset = add->smaller_offset;
  const int32_t smaller_multiplier = add->smaller_multiplier, multiplier = add->multiplier;
  const uint32_t smaller_right = add->smaller_right, right = add->right;
  const Bounds bounds = {add->output_zero, add->low, add->high};
  const int8_t* end = output + add->count;
#pragma GCC unroll 2
  while (output != end) {
    const int32_t first = larger_offset + *larger++ * (1 << 19), second = smaller_offset + *smaller++ * (1 << 20);
    const int32_t high = smmlar(second, smaller_multiplier, second);
    const int32_t sum = shift_round_add(high + (high >> 31), smaller_right, first);
    *output++ = requantize(sum, multiplier, right, &bounds, mode);
  }
}

void kernel_add(const KernelAdd* add, const int8_t* first, const int8_t* second, int8_t* output) {
  const int8_t *larger = add->second_is_larger ? second : first, *smaller = add->second_is_larger ? first : second;
  if (add->requantize == KERNEL_SATURATE) {
    add_all(add, larger, smaller, output, KERNEL_SATURATE);
  } else if (add->requantize == KERNEL_ROUND) {
    add_all(add, larger, smaller, output, KERNEL_ROUND);
  } else {
    add_all(add, larger, smaller, output, KERNEL_CLAMP);
  }
}

// On a copy of the block, with another count.
void kernel_add_rows(const KernelRows* rows) {
  KernelAdd add = *(const KernelAdd*)rows->block;
  add.count = (uint32_t)(rows->count * rows->inputs[0].step);
  kernel_add(&add, ring_row(&rows->inputs[0], rows->first), ring_row(&rows->inputs[1], rows->first), rows->output);
}
