// The average of what a window sees of the input; the border counts for nothing.
#include "dsp.h"
#include "kernels.h"
#include "ring.h"

#define MOST_PIXELS 255  // whose sums fit 16 bits: two channels share a word
#define NOT_INLINE static __attribute__((noinline))  // so that each loop has the registers for itself

typedef struct {
  const KernelRing* input;
  const int8_t* first;  // the first row that the window sees
  int offset;           // of the first pixel in it
  int rows, columns;    // that it sees
  int channels;         // bytes from a pixel to the next
} Seen;

// Halves away from 0; an average of int8 is one.
KERNEL_INLINE int8_t average(int32_t sum, int32_t count) {
  const int32_t half = count / 2;
  return (int8_t)((sum > 0 ? sum + half : sum - half) / count);
}

NOT_INLINE int8_t average_channel(const Seen* seen, int channel) {
  int32_t sum = 0;
  const int8_t* row = seen->first;
  for (int rows = seen->rows; rows > 0; --rows) {
    const int8_t* from = row + seen->offset + channel;
    for (int column = 0; column < seen->columns; ++column) sum += from[column * seen->channels];
    row = next_row(seen->input, row);
  }
  return average(sum, seen->rows * seen->columns);
}

// Four channels at once, a word of which is two additions; returns how many channels that makes.
NOT_INLINE int average_fours(const Seen* seen, int8_t* output) {
  const KernelRing ring = *seen->input;
  const int channels = seen->channels, columns = seen->columns, count = seen->rows * columns;
  const int most = MOST_PIXELS / columns;
  int channel = 0;
  for (; channel + 4 <= channels; channel += 4) {
    const int8_t* row = seen->first;
    int32_t first = 0, second = 0, third = 0, fourth = 0;
    int left = seen->rows;
    do {
      uint32_t even = 0, odd = 0;
      int rows = at_most(left, most);
      left -= rows;
      do {
        const int8_t* from = row + seen->offset + channel;
        int pixels = columns;
        do {
          const uint32_t word = load_word(from);
          even = sxtab16(even, word);
          odd = sxtab16_ror8(odd, word);
          from += channels;
        } while (--pixels != 0);
        row = next_row(&ring, row);
      } while (--rows != 0);
      first += (int16_t)even;
      second += (int16_t)odd;
      third += (int32_t)even >> 16;
      fourth += (int32_t)odd >> 16;
    } while (left != 0);
    output[channel] = average(first, count);
    output[channel + 1] = average(second, count);
    output[channel + 2] = average(third, count);
    output[channel + 3] = average(fourth, count);
  }
  return channel;
}

// The bounds of an activation, which a pool seldom has.
NOT_INLINE void clamp(int8_t* values, int count, int low, int high) {
  for (; count > 0; --count, ++values) *values = (int8_t)at_most(at_least(*values, low), high);
}

void kernel_average_pool_rows(const KernelRows* call) {
  const KernelPool* pool = call->block;
  const KernelRing* input = &call->inputs[0];
  const int channels = pool->channels;
  int8_t* output = call->output;
  for (int y = call->first; y < call->first + call->count; ++y) {
    const int top = y * pool->stride_height - pool->pad_top, first_row = at_least(top, 0);
    const int rows = at_most(top + pool->window_height, pool->input_height) - first_row;
    Seen seen = {input, ring_row(input, first_row), 0, rows, 0, channels};
    for (int x = 0; x < pool->output_width; ++x) {
      const int left = x * pool->stride_width - pool->pad_left, first_column = at_least(left, 0);
      seen.offset = first_column * channels;
      seen.columns = at_most(left + pool->window_width, pool->input_width) - first_column;
      int channel = seen.columns <= MOST_PIXELS ? average_fours(&seen, output) : 0;
      for (; channel < channels; ++channel) output[channel] = average_channel(&seen, channel);
      if (pool->low > -128 || pool->high < 127) clamp(output, channels, pool->low, pool->high);
      output += channels;
    }
  }
}

void kernel_average_pool(const KernelPool* pool, const int8_t* input, int8_t* output) {
  const KernelRing map = whole_map(input, pool->input_height, pool->input_width * pool->channels);
  kernel_average_pool_rows(&(KernelRows){pool, {map}, output, 0, pool->output_height, 0});
}
