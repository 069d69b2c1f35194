#include "columns.h"

void kernel_conv_1x1(const KernelConv* conv, const int8_t* input, int8_t* output, void* scratch) {
  uint32_t* columns = scratch;
  const int channels = conv->input_channels;
  for (int left = conv->output_height * conv->output_width; left > 0; left -= 2) {
    const int pixels = left > 1 ? 2 : 1;
    spread_all(columns, input, channels);
    if (pixels == 2) spread_all(columns + 2, input + channels, channels);
    kernel_multiply_columns(conv, columns, output, pixels);
    input += 2 * channels;
    output += 2 * conv->output_channels;
  }
}
