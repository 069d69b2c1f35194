#include "columns.h"

#include "requantize.h"

// The channels of `pixels` pixels, `step` bytes apart in the output. With a constant `mode` and `pixels` one of the loops
// that multiply() chooses from.
KERNEL_INLINE void pairs_of_channels(const KernelConv* conv, const uint32_t* columns, int8_t* output, int step,
                                     int pixels, int mode) {
  const KernelPair* pair = (const KernelPair*)((const char*)conv + conv->pairs);
  const uint32_t* weights = (const uint32_t*)((const char*)conv + conv->weights);
  const uint32_t* end = columns + COLUMN_WORDS * conv->words;
  const Bounds bounds = {conv->output_zero, conv->low, conv->high};
  int8_t* last = output + conv->output_channels - 2;
  for (;;) {
    Sums sums = {{pair->bias[0], pair->bias[1]}, {pair->bias[0], pair->bias[1]}};
    weights = (pixels == 2 ? dot_two_pixels : dot_one_pixel)(weights, columns, end, &sums);
    uint32_t shifts = pair->shifts;
    output[0] = requantize(sums.first[0], pair->multiplier[0], shifts, &bounds, mode);
    if (pixels == 2) output[step] = requantize(sums.second[0], pair->multiplier[0], shifts, &bounds, mode);
    shifts >>= 8;
    output[1] = requantize(sums.first[1], pair->multiplier[1], shifts, &bounds, mode);
    if (pixels == 2) output[step + 1] = requantize(sums.second[1], pair->multiplier[1], shifts, &bounds, mode);
    ++pair;
    output += 2;
    if (output <= last) continue;
    if (output >= last + 2) return;
    output = last;  // the last pair of an odd number of channels computes one again
  }
}

static void multiply(const KernelConv* conv, const uint32_t* columns, int8_t* output, int step, int pixels) {
  switch (2 * conv->requantize + pixels - 1) {
    case 2 * KERNEL_SATURATE: pairs_of_channels(conv, columns, output, step, 1, KERNEL_SATURATE); return;
    case 2 * KERNEL_SATURATE + 1: pairs_of_channels(conv, columns, output, step, 2, KERNEL_SATURATE); return;
    case 2 * KERNEL_ROUND: pairs_of_channels(conv, columns, output, step, 1, KERNEL_ROUND); return;
    case 2 * KERNEL_ROUND + 1: pairs_of_channels(conv, columns, output, step, 2, KERNEL_ROUND); return;
    case 2 * KERNEL_CLAMP: pairs_of_channels(conv, columns, output, step, 1, KERNEL_CLAMP); return;
    default: pairs_of_channels(conv, columns, output, step, 2, KERNEL_CLAMP); return;
  }
}

void kernel_multiply_columns(const KernelConv* conv, const uint32_t* columns, int8_t* output, int pixels) {
  if (conv->output_channels > 1) {
    multiply(conv, columns, output, conv->output_channels, pixels);
    return;
  }
  int8_t twice[4];  // the only channel, as a pair
  multiply(conv, columns, twice, 2, pixels);
  output[0] = twice[0];
  if (pixels == 2) output[1] = twice[2];
}
