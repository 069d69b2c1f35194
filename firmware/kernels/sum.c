// Both inputs, shifted by 20 bits to the left, are scaled to half of the larger scale.
#include "broadcast.h"
#include "requantize.h"

static void sum_row(const void* block, const Row* row) {
  const KernelSum* sum = block;
  const int8_t *first = row->first, *second = row->second;
  for (uint32_t i = 0; i < row->count; ++i) {
    const int32_t x = scale_any((*first - sum->first_zero) * (1 << 20), sum->first_multiplier, 0, sum->first_right);
    const int32_t y = scale_any((*second - sum->second_zero) * (1 << 20), sum->second_multiplier, 0, sum->second_right);
    const int32_t both = scale_any(sum->subtract ? x - y : x + y, sum->multiplier, 0, sum->right);
    row->output[i] = clamped(both + sum->output_zero, sum->low, sum->high);
    first += row->first_step;
    second += row->second_step;
  }
}

void kernel_sum(const KernelSum* sum, const int8_t* first, const int8_t* second, int8_t* output) {
  each_row(&sum->shape, first, second, output, sum_row, sum);
}
