#include "requantize.h"
#include "ring.h"

// The sum of the window at (top, left) for one filter, which reads channels from `first` on.
static int32_t window_sum(const KernelConvAny* conv, const KernelRing* input, int first, const int8_t* weights, int top,
                          int left) {
  const int channels = conv->input_channels, depth = conv->group_channels, zero = conv->input_zero;
  int32_t sum = 0;
  for (int row = 0; row < conv->window_height; ++row) {
    const int y = top + row * conv->dilation_height;
    for (int column = 0; column < conv->window_width; ++column) {
      const int x = left + column * conv->dilation_width;
      if (y >= 0 && y < conv->input_height && x >= 0 && x < conv->input_width) {
        const int8_t* from = ring_row(input, y) + x * channels + first;
        for (int i = 0; i < depth; ++i) sum += (from[i] - zero) * weights[i];
      }
      weights += depth;
    }
  }
  return sum;
}

void kernel_conv_any_rows(const KernelRows* rows) {
  const KernelConvAny* conv = rows->block;
  int8_t* output = rows->output;
  const KernelChannel* channels = (const KernelChannel*)((const char*)conv + conv->channels);
  const int8_t* weights = (const int8_t*)conv + conv->weights;
  const int size = conv->window_height * conv->window_width * conv->group_channels;
  const Bounds bounds = {conv->output_zero, conv->low, conv->high};
  for (int y = rows->first; y < rows->first + rows->count; ++y) {
    const int top = y * conv->stride_height - conv->pad_top;
    for (int x = 0; x < conv->output_width; ++x) {
      const int left = x * conv->stride_width - conv->pad_left;
      for (int filter = 0; filter < conv->output_channels; ++filter) {
        const KernelChannel* channel = channels + filter;
        const int group = filter / conv->group_filters * conv->group_channels;
        const int32_t sum = window_sum(conv, &rows->inputs[0], group, weights + filter * size, top, left) + channel->bias;
        *output++ = requantize(sum, channel->multiplier, channel->shifts, &bounds, KERNEL_CLAMP);
      }
    }
  }
}

void kernel_conv_any(const KernelConvAny* conv, const int8_t* input, int8_t* output) {
  const KernelRing map = whole_map(input, conv->input_height, conv->input_width * conv->input_channels);
  kernel_conv_any_rows(&(KernelRows){conv, {map}, output, 0, conv->output_height, 0});
}
