// The largest value of what a window sees of the input; the border counts for nothing.
#include "kernels.h"
#include "ring.h"

void kernel_max_pool_rows(const KernelRows* call) {
  const KernelPool* pool = call->block;
  const KernelRing* input = &call->inputs[0];
  const int channels = pool->channels;
  int8_t* output = call->output;
  for (int y = call->first; y < call->first + call->count; ++y) {
    const int top = y * pool->stride_height - pool->pad_top;
    const int first_row = at_least(top, 0), end_row = at_most(top + pool->window_height, pool->input_height);
    for (int x = 0; x < pool->output_width; ++x) {
      const int left = x * pool->stride_width - pool->pad_left;
      const int first = at_least(left, 0), end = at_most(left + pool->window_width, pool->input_width);
      for (int channel = 0; channel < channels; ++channel) {
        int most = pool->low;
        const int8_t* row = ring_row(input, first_row);
        for (int rows = end_row - first_row; rows > 0; --rows) {
          for (int column = first; column < end; ++column) most = at_least(row[column * channels + channel], most);
          row = next_row(input, row);
        }
        *output++ = (int8_t)at_most(most, pool->high);
      }
    }
  }
}

void kernel_max_pool(const KernelPool* pool, const int8_t* input, int8_t* output) {
  const KernelRing map = whole_map(input, pool->input_height, pool->input_width * pool->channels);
  kernel_max_pool_rows(&(KernelRows){pool, {map}, output, 0, pool->output_height, 0});
}
