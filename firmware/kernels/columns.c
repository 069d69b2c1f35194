#include "columns.h"

#include "requantize.h"

// The channels of `pixels` pixels, of `channels` bytes each in the output. One of the loops below, with a constant `mode`
// and `pixels`.
KERNEL_INLINE void pairs_of_channels(const KernelConv* conv, const uint32_t* columns, int8_t* output, int channels,
                                     int pixels, int mode) {
  const KernelPair* pair = (const KernelPair*)((const char*)conv + conv->pairs);
  const uint32_t* weights = (const uint32_t*)((const char*)conv + conv->weights);
  const uint32_t* end = columns + COLUMN_WORDS * conv->words;
  const Bounds bounds = {conv->output_zero, conv->low, conv->high};
  int8_t* last = output + channels - 2;
  for (;;) {
    Sums sums = {{pair->bias[0], pair->bias[1]}, {pair->bias[0], pair->bias[1]}};
    weights = (pixels == 2 ? dot_two_pixels : dot_one_pixel)(weights, columns, end, &sums);
    uint32_t shifts = pair->shifts;
    const int32_t multiplier[2] = {pair->multiplier[0], pair->multiplier[1]};
    output[0] = requantize(sums.first[0], multiplier[0], shifts, &bounds, mode);
    if (pixels == 2) output[channels] = requantize(sums.second[0], multiplier[0], shifts, &bounds, mode);
    shifts >>= 8;
    output[1] = requantize(sums.first[1], multiplier[1], shifts, &bounds, mode);
    if (pixels == 2) output[channels + 1] = requantize(sums.second[1], multiplier[1], shifts, &bounds, mode);
    ++pair;
    output += 2;
    if (output <= last) continue;
    if (output >= last + 2) return;
    output = last;  // the last pair of an odd number of channels computes one again
  }
}

static void saturate_one(const KernelConv* conv, const uint32_t* columns, int8_t* output) {
  pairs_of_channels(conv, columns, output, conv->output_channels, 1, KERNEL_SATURATE);
}

static void saturate_two(const KernelConv* conv, const uint32_t* columns, int8_t* output) {
  pairs_of_channels(conv, columns, output, conv->output_channels, 2, KERNEL_SATURATE);
}

static void round_one(const KernelConv* conv, const uint32_t* columns, int8_t* output) {
  pairs_of_channels(conv, columns, output, conv->output_channels, 1, KERNEL_ROUND);
}

static void round_two(const KernelConv* conv, const uint32_t* columns, int8_t* output) {
  pairs_of_channels(conv, columns, output, conv->output_channels, 2, KERNEL_ROUND);
}

// Any bounds, and the single channel of an operator, which its table has twice, as a pair.
static void clamp_one(const KernelConv* conv, const uint32_t* columns, int8_t* output) {
  int8_t pair[2];
  const int is_single = conv->output_channels == 1;
  pairs_of_channels(conv, columns, is_single ? pair : output, is_single ? 2 : conv->output_channels, 1, KERNEL_CLAMP);
  if (is_single) output[0] = pair[0];
}

static void clamp_two(const KernelConv* conv, const uint32_t* columns, int8_t* output) {
  int8_t pairs[4];
  const int is_single = conv->output_channels == 1;
  pairs_of_channels(conv, columns, is_single ? pairs : output, is_single ? 2 : conv->output_channels, 2, KERNEL_CLAMP);
  if (is_single) {
    output[0] = pairs[0];
    output[1] = pairs[2];
  }
}

MultiplyColumns kernel_multiply_columns(const KernelConv* conv, int pixels) {
  static const MultiplyColumns kMultiply[3][2] = {
      [KERNEL_SATURATE] = {saturate_one, saturate_two},
      [KERNEL_ROUND] = {round_one, round_two},
      [KERNEL_CLAMP] = {clamp_one, clamp_two},
  };
  return kMultiply[conv->output_channels == 1 ? KERNEL_CLAMP : conv->requantize][pixels - 1];
}
