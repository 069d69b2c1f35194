// The average of what a window sees of the input; the border counts for nothing.
#include "dsp.h"
#include "kernels.h"
#include "ring.h"

#define MOST_PIXELS 255  // whose sums fit 16 bits: two channels share a word

typedef struct {
  const KernelRing* input;
  const int8_t* first;  // the first row that the window sees
  int offset;           // of the first pixel in it
  int rows, columns;    // that it sees
  int channels;         // bytes from a pixel to the next
} Seen;

// Halves away from 0.
static int8_t average(const KernelPool* pool, int32_t sum, int32_t count) {
  const int32_t half = count / 2, mean = (sum > 0 ? sum + half : sum - half) / count;
  return (int8_t)at_most(at_least(mean, pool->low), pool->high);
}

static int8_t average_channel(const KernelPool* pool, const Seen* seen, int channel) {
  int32_t sum = 0;
  const int8_t* row = seen->first;
  for (int rows = seen->rows; rows > 0; --rows) {
    const int8_t* from = row + seen->offset + channel;
    for (int column = 0; column < seen->columns; ++column) sum += from[column * seen->channels];
    row = next_row(seen->input, row);
  }
  return average(pool, sum, seen->rows * seen->columns);
}

// Four channels, a word of which is two additions, of `rows` rows from `row` on: their sums fit 16 bits. Returns the row
// after them.
KERNEL_INLINE const int8_t* add_rows(const Seen* seen, const int8_t* row, int offset, int rows, int32_t* sums) {
  uint32_t even = 0, odd = 0;
  for (; rows > 0; --rows) {
    const int8_t* from = row + offset;
    for (int columns = seen->columns; columns > 0; --columns) {
      const uint32_t word = load_word(from);
      even = sxtab16(even, word);
      odd = sxtab16_ror8(odd, word);
      from += seen->channels;
    }
    row = next_row(seen->input, row);
  }
  sums[0] += (int16_t)even;
  sums[1] += (int16_t)odd;
  sums[2] += (int16_t)(even >> 16);
  sums[3] += (int16_t)(odd >> 16);
  return row;
}

static void average_four(const KernelPool* pool, const Seen* seen, int channel, int8_t* output) {
  const int count = seen->rows * seen->columns, offset = seen->offset + channel;
  const int8_t* row = seen->first;
  int32_t sums[4] = {0, 0, 0, 0};
  if (count <= MOST_PIXELS) {
    add_rows(seen, row, offset, seen->rows, sums);
  } else {
    const int most = MOST_PIXELS / seen->columns;
    for (int left = seen->rows; left > 0; left -= most) row = add_rows(seen, row, offset, at_most(left, most), sums);
  }
  output[0] = average(pool, sums[0], count);
  output[1] = average(pool, sums[1], count);
  output[2] = average(pool, sums[2], count);
  output[3] = average(pool, sums[3], count);
}

void kernel_average_pool_rows(const KernelRows* call) {
  const KernelPool* pool = call->block;
  const KernelRing* input = &call->inputs[0];
  const int channels = pool->channels;
  int8_t* output = call->output;
  for (int y = call->first; y < call->first + call->count; ++y) {
    const int top = y * pool->stride_height - pool->pad_top, first_row = at_least(top, 0);
    const int rows = at_most(top + pool->window_height, pool->input_height) - first_row;
    for (int x = 0; x < pool->output_width; ++x) {
      const int left = x * pool->stride_width - pool->pad_left, first_column = at_least(left, 0);
      const int columns = at_most(left + pool->window_width, pool->input_width) - first_column;
      const Seen seen = {input, ring_row(input, first_row), first_column * channels, rows, columns, channels};
      int channel = 0;
      if (columns <= MOST_PIXELS) {
        for (; channel + 4 <= channels; channel += 4) average_four(pool, &seen, channel, output + channel);
      }
      for (; channel < channels; ++channel) output[channel] = average_channel(pool, &seen, channel);
      output += channels;
    }
  }
}

void kernel_average_pool(const KernelPool* pool, const int8_t* input, int8_t* output) {
  const KernelRing map = whole_map(input, pool->input_height, pool->input_width * pool->channels);
  kernel_average_pool_rows(&(KernelRows){pool, {map}, output, 0, pool->output_height, 0});
}
