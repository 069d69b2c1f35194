// DEPTHWISE_CONV_2D of maps so small that spreading them costs more than it saves: each output is summed up from what its
// window sees of the input. All channels of a pixel follow each other, since their windows lie alike. The border is left out
// of sums, so the zero point of the input is taken out here and not in the bias.
#include "dsp.h"
#include "kernels.h"
#include "requantize.h"
#include "ring.h"

#define NOT_INLINE static __attribute__((noinline))

// What the windows of a pixel see.
typedef struct {
  const int8_t* values;    // of channel 0
  const uint32_t* record;  // of channel 0, as the next ones
  int record_words, first_weight;  // the first weight that counts: bytes from a record's begin
  int rows, channels;
  int row_step, weight_step;  // bytes from a row of the input to the next, and of the weights
  int input_zero, mode;
  Bounds bounds;
} Seen;

// Any bounds.
NOT_INLINE int8_t clamped_output(const Seen* seen, const KernelChannel* channel, int32_t sum) {
  return requantize(sum, channel->multiplier, channel->shifts, &seen->bounds, KERNEL_CLAMP);
}

KERNEL_INLINE void output_channels(const Seen* seen, int columns, int8_t* output) {
  const int channels = seen->channels, row_step = seen->row_step, weight_step = seen->weight_step;
  const int input_zero = seen->input_zero;
  const int8_t *values = seen->values, *end = values + channels;
  const uint32_t* record = seen->record;
  do {
    const KernelChannel* channel = (const KernelChannel*)record;
    const int8_t *from = values, *weights = (const int8_t*)record + seen->first_weight;
    int32_t sum = channel->bias;
    int rows = seen->rows;
    do {
#pragma GCC unroll 3
      for (int i = 0; i < columns; ++i) sum += (from[i * channels] - input_zero) * weights[i];
      from += row_step;
      weights += weight_step;
    } while (--rows != 0);
    *output++ = seen->mode == KERNEL_CLAMP
                    ? clamped_output(seen, channel, sum)
                    : requantize(sum, channel->multiplier, channel->shifts, &seen->bounds, KERNEL_ROUND);
    record += seen->record_words;
  } while (++values != end);
}

// A function for each number of columns that a window sees.
NOT_INLINE void output_1(const Seen* seen, int8_t* output) { output_channels(seen, 1, output); }
NOT_INLINE void output_2(const Seen* seen, int8_t* output) { output_channels(seen, 2, output); }
NOT_INLINE void output_3(const Seen* seen, int8_t* output) { output_channels(seen, 3, output); }

void kernel_depthwise_small(const KernelDepthwise* depthwise, const int8_t* input, int8_t* output, void* scratch) {
  (void)scratch;
  const int channels = depthwise->channels, height = depthwise->window_height, width = depthwise->window_width;
  const int input_height = depthwise->input_height, input_width = depthwise->input_width, stride = depthwise->stride;
  const int row_step = input_width * channels, record_words = (int)sizeof(KernelChannel) / 4 + (height * width + 3) / 4;
  Seen seen = {.record = (const uint32_t*)((const char*)depthwise + depthwise->records),
               .record_words = record_words,
               .channels = channels,
               .row_step = row_step,
               .weight_step = width,
               .input_zero = depthwise->input_zero,
               .mode = depthwise->requantize,
               .bounds = {depthwise->output_zero, depthwise->low, depthwise->high}};
  int top = -depthwise->pad_top;
  for (int rows = depthwise->output_height; rows > 0; --rows) {
    const int first_row = at_least(top, 0);
    seen.rows = at_most(top + height, input_height) - first_row;
    int left = -depthwise->pad_left;
    for (int columns = depthwise->output_width; columns > 0; --columns) {
      const int first_column = at_least(left, 0), count = at_most(left + width, input_width) - first_column;
      seen.values = input + first_row * row_step + first_column * channels;
      seen.first_weight = (int)sizeof(KernelChannel) + (first_row - top) * width + first_column - left;
      if (count == 1) output_1(&seen, output);
      if (count == 2) output_2(&seen, output);
      if (count == 3) output_3(&seen, output);
      output += channels;
      left += stride;
    }
    top += stride;
  }
}
