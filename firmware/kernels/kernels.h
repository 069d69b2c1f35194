// Int8 operators on cores with the DSP extension (Cortex-M4, M7, M33), bit for bit as TensorFlow Lite's reference
// kernels with their default, double rounding. tinytrain/deploy/kernels prepares what they read; nothing is allocated, and
// nothing is computed before the first call.
//
// An operator is one block of constants in flash, aligned to 4 bytes: its struct below, the table of its channels, its
// weights. Offsets count bytes from the beginning of the block, so it may lie anywhere. Tensors are (height, width,
// channels) of one image.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// How accumulators become outputs; tinytrain/deploy/kernels/scales.py chooses the first one that is exact.
enum {
  KERNEL_SATURATE = 0,  // zero point -128, bounds -128 and 127: negative values saturate, however they are rounded
  KERNEL_ROUND = 1,     // any zero point, bounds -128 and 127
  KERNEL_CLAMP = 2,     // any bounds, shifts to the left
};

// Two channels: what the accumulator starts with, and the scale. A multiplier m of 31 bits stands here as 2m - 2^32.
typedef struct {
  int32_t bias[2];
  int32_t multiplier[2];
  uint32_t shifts;  // a byte each: to the right of the first and the second, to the left of the first and the second
} KernelPair;

// CONV_2D and FULLY_CONNECTED, whose input is one pixel.
typedef struct {
  uint32_t scratch_bytes;  // every operator begins with this number
  uint16_t input_height, input_width, input_channels;
  uint16_t output_height, output_width, output_channels;
  uint8_t window_height, window_width, stride_height, stride_width, pad_top, pad_left;
  int8_t input_zero, output_zero, low, high;
  uint8_t requantize;  // KERNEL_SATURATE …
  uint8_t reserved;
  uint32_t words;    // of 4 weights in a window, the last one filled up with zeros
  uint32_t pairs;    // offset: KernelPair of channels 0 and 1, 2 and 3 …; of an odd number the last two overlap
  uint32_t weights;  // offset: of each pair a word of the first channel, one of the second, and so on
} KernelConv;

// DEPTHWISE_CONV_2D with a square window of 3, 5 or 7, stride 1 or 2, or of 1 where the input is one pixel. Of each channel there is a record: the two numbers and
// the shifts below, then its weights. A row w0 … wk of weights stands as words of the bytes w0 w1 w1 w2, w2 w3 w3 w4 …:
// spread, they are the pairs that begin at even places, and those that begin at odd ones. A single weight is one word.
typedef struct {
  int32_t bias, multiplier;
  uint32_t shifts;  // as the low and the third byte of KernelPair
} KernelChannel;

typedef struct {
  uint32_t scratch_bytes;
  uint16_t input_height, input_width, channels;
  uint16_t output_height, output_width, same_channels;
  uint8_t window, same_window, stride, same_stride, pad_top, pad_left;
  int8_t input_zero, output_zero, low, high;
  uint8_t requantize;
  uint8_t reserved;
  uint16_t band, pitch;  // rows of the output that are computed together; 16-bit values of a row in scratch, even
  uint32_t plane;        // such values of one channel; scratch has room for four, where there are so many channels
  uint32_t records;      // offset
} KernelDepthwise;

// ADD of two tensors of one shape. `larger` is the input with the larger scale; offsets are zero points, shifted to the left
// as the values are and negative; multipliers as those of KernelPair.
typedef struct {
  uint32_t scratch_bytes;
  uint32_t count;
  int32_t larger_offset, smaller_offset;
  int32_t smaller_multiplier, multiplier;
  uint32_t smaller_right, right;  // shifts, the former never 0, that of the sum as the low byte of KernelPair
  int8_t output_zero, low, high;
  uint8_t requantize;
  uint8_t second_is_larger, reserved[3];
} KernelAdd;

// AVERAGE_POOL_2D.
typedef struct {
  uint32_t scratch_bytes;
  uint16_t input_height, input_width, channels;
  uint16_t output_height, output_width, same_channels;
  uint8_t window_height, window_width, stride_height, stride_width, pad_top, pad_left;
  int8_t low, high;
} KernelPool;

// Each takes the operator, its input, its output, and where it needs some, scratch memory, aligned to 4 bytes.
void kernel_conv(const KernelConv* conv, const int8_t* input, int8_t* output, void* scratch);
void kernel_conv_1x1(const KernelConv* conv, const int8_t* input, int8_t* output, void* scratch);  // stride 1, no padding
void kernel_fully_connected(const KernelConv* dense, const int8_t* input, int8_t* output, void* scratch);
void kernel_add(const KernelAdd* add, const int8_t* first, const int8_t* second, int8_t* output);
void kernel_average_pool(const KernelPool* pool, const int8_t* input, int8_t* output);
void kernel_depthwise(const KernelDepthwise* depthwise, const int8_t* input, int8_t* output, void* scratch);

#ifdef __cplusplus
}
#endif
