#include <string.h>

#include "kernels.h"
#include "ring.h"

// The columns of a row; the input may lie where the output is written, but not before it.
static int8_t* pad_row(const KernelPad* pad, const int8_t* input, int8_t* output) {
  const size_t channels = pad->output_channels, copied = pad->input_channels;
  for (int x = 0; x < pad->output_width; ++x) {
    const int column = x - pad->pad_left;
    if (column < 0 || column >= pad->input_width) {
      memset(output, pad->value, channels);
    } else {
      memset(output, pad->value, pad->pad_channels);
      memmove(output + pad->pad_channels, input + column * (int)copied, copied);
      memset(output + pad->pad_channels + copied, pad->value, channels - copied - pad->pad_channels);
    }
    output += channels;
  }
  return output;
}

void kernel_pad_rows(const KernelRows* rows) {
  const KernelPad* pad = rows->block;
  int8_t* output = rows->output;
  for (int y = rows->first; y < rows->first + rows->count; ++y) {
    const int row = y - pad->pad_top;
    if (row < 0 || row >= pad->input_height) {
      const size_t bytes = (size_t)pad->output_width * pad->output_channels;
      memset(output, pad->value, bytes);
      output += bytes;
    } else {
      output = pad_row(pad, ring_row(&rows->inputs[0], row), output);
    }
  }
}

void kernel_pad(const KernelPad* pad, const int8_t* input, int8_t* output) {
  const KernelRing map = whole_map(input, pad->input_height, pad->input_width * pad->input_channels);
  kernel_pad_rows(&(KernelRows){pad, {map}, output, 0, pad->output_height, 0});
}
