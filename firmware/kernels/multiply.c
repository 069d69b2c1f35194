#include "broadcast.h"
#include "requantize.h"
#include "ring.h"

// `mode` is a constant where this is used.
KERNEL_INLINE void multiply_row(const KernelMultiply* multiply, const Row* row, int mode) {
  const int32_t first_zero = multiply->first_zero, second_zero = multiply->second_zero, scale = multiply->multiplier;
  const uint32_t shifts = multiply->shifts, first_step = row->first_step, second_step = row->second_step;
  const Bounds bounds = {multiply->output_zero, multiply->low, multiply->high};
  const int8_t *first = row->first, *second = row->second;
  int8_t *output = row->output, *end = output + row->count;
  while (output != end) {
    *output++ = requantize((*first - first_zero) * (*second - second_zero), scale, shifts, &bounds, mode);
    first += first_step;
    second += second_step;
  }
}

static void multiply_rounded(const void* block, const Row* row) { multiply_row(block, row, KERNEL_ROUND); }
static void multiply_clamped(const void* block, const Row* row) { multiply_row(block, row, KERNEL_CLAMP); }

void kernel_multiply(const KernelMultiply* multiply, const int8_t* first, const int8_t* second, int8_t* output) {
  const RowFunction function = multiply->requantize == KERNEL_CLAMP ? multiply_clamped : multiply_rounded;
  each_row(&multiply->shape, first, second, output, function, multiply);
}

// Of maps of one shape, or of a map and a vector with a factor for each channel, which is a ring of step 0.
void kernel_multiply_rows(const KernelRows* rows) {
  KernelMultiply multiply = *(const KernelMultiply*)rows->block;
  const KernelRing *first = &rows->inputs[0], *second = &rows->inputs[1];
  const uint32_t values = (uint32_t)(rows->count * at_least(first->step, second->step));
  if (first->step == second->step) {
    multiply.shape.counts[3] = values;
  } else {
    multiply.shape.counts[2] = values / multiply.shape.counts[3];
  }
  kernel_multiply(&multiply, ring_row(first, rows->first), ring_row(second, rows->first), rows->output);
}
