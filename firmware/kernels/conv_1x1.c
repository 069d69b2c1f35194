#include "columns.h"
#include "ring.h"

static void conv_pixels(const KernelConv* conv, const int8_t* input, int8_t* output, int count, void* scratch) {
  const MultiplyColumns multiply_two = kernel_multiply_columns(conv, 2);
  const int channels = conv->input_channels;
  for (int left = count; left > 1; left -= 2) {
    spread_two(scratch, input, input + channels, channels);
    multiply_two(conv, scratch, output);
    input += 2 * channels;
    output += 2 * conv->output_channels;
  }
  if (count % 2 == 1) {
    spread_all(scratch, input, channels);
    kernel_multiply_columns(conv, 1)(conv, scratch, output);
  }
}

void kernel_conv_1x1_rows(const KernelRows* rows) {
  const KernelConv* conv = rows->block;
  const int8_t* input = ring_row(&rows->inputs[0], rows->first);
  conv_pixels(conv, input, rows->output, rows->count * conv->output_width, rows->scratch);
}

void kernel_conv_1x1(const KernelConv* conv, const int8_t* input, int8_t* output, void* scratch) {
  conv_pixels(conv, input, output, conv->output_height * conv->output_width, scratch);
}
