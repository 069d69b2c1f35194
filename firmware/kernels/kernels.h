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

// DEPTHWISE_CONV_2D with a square window of 3, 5 or 7, and of any window on a small map; stride 1 or 2. Of each channel there
// is a record: the two numbers and the shifts below, then its weights. A row w0 … wk of weights stands as words of the bytes
// w0 w1 w1 w2, w2 w3 w3 w4 …: spread, they are the pairs that begin at even places, and those that begin at odd ones. Those
// for a small map stand row by row, filled up to words, and its bias is as the model has it.
typedef struct {
  int32_t bias, multiplier;
  uint32_t shifts;  // as the low and the third byte of KernelPair
} KernelChannel;

typedef struct {
  uint32_t scratch_bytes;
  uint16_t input_height, input_width, channels;
  uint16_t output_height, output_width, same_channels;
  uint8_t window_height, window_width, stride, same_stride, pad_top, pad_left;
  int8_t input_zero, output_zero, low, high;
  uint8_t requantize;
  uint8_t reserved;
  uint16_t band, pitch;  // rows of the output that are computed together; 16-bit values of a row in scratch, even
  uint32_t plane;        // such values of one channel, for four of which scratch has room; 0 for a small map
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

// CONV_2D and DEPTHWISE_CONV_2D of any window, dilation and number of groups: right for what the fast ones do not take. Filter
// f reads `group_channels` channels of the input from channel f / group_filters * group_channels on. Of each filter there is
// a KernelChannel, whose bias is as the model has it; weights are (filters, rows, columns, group_channels).
typedef struct {
  uint32_t scratch_bytes;
  uint16_t input_height, input_width, input_channels;
  uint16_t output_height, output_width, output_channels;
  uint8_t window_height, window_width, stride_height, stride_width;
  uint16_t pad_top, pad_left, dilation_height, dilation_width, group_channels, group_filters;
  int8_t input_zero, output_zero, low, high;
  uint32_t channels, weights;  // offsets
} KernelConvAny;

// PAD of height, width and channels.
typedef struct {
  uint32_t scratch_bytes;
  uint16_t input_height, input_width, input_channels;
  uint16_t output_height, output_width, output_channels;
  uint16_t pad_top, pad_left, pad_channels;  // before the input
  int8_t value;
  uint8_t reserved;
} KernelPad;

// MEAN over dimensions that follow each other: the input is (outer, reduced, inner). `start` takes out the zero point;
// the multiplier has 31 bits.
typedef struct {
  uint32_t scratch_bytes;
  uint32_t outer, reduced, inner;
  int32_t start, multiplier;
  uint8_t left, right;
  int8_t output_zero;
  uint8_t reserved;
} KernelMean;

// SOFTMAX over the last of two dimensions. exp[d] is e to the power of -d steps of the input, times 2^31; beyond
// `entries` it counts as 0.
typedef struct {
  uint32_t scratch_bytes;
  uint32_t rows, depth, entries;
  int32_t exp[];
} KernelSoftmax;

#define KERNEL_MOST_INPUTS 10

// CONCATENATION: `outer` times `bytes` of each input.
typedef struct {
  uint32_t scratch_bytes;
  uint32_t inputs, outer;
  uint32_t bytes[KERNEL_MOST_INPUTS];
} KernelConcatenation;

// RESIZE_NEAREST_NEIGHBOR. After the struct follow, of each output row, the input row, and of each column the column.
typedef struct {
  uint32_t scratch_bytes;
  uint16_t input_height, input_width, channels;
  uint16_t output_height, output_width, same_channels;
  uint16_t places[];
} KernelResize;

// A table of 256 values: the output for -128, -127 … 127.
typedef struct {
  uint32_t scratch_bytes;
  uint32_t count;
  int8_t table[256];
} KernelLookup;

#define KERNEL_DIMENSIONS 4

// TRANSPOSE: values of the output along each dimension, the innermost last, and the bytes between them in the input.
typedef struct {
  uint32_t scratch_bytes;
  uint32_t counts[KERNEL_DIMENSIONS], steps[KERNEL_DIMENSIONS];
} KernelTranspose;

// Two inputs, either of which may be repeated along some dimensions: values of the output along each dimension, the
// innermost last, and of each input the bytes from one to the next.
typedef struct {
  uint32_t counts[KERNEL_DIMENSIONS];
  uint32_t first[KERNEL_DIMENSIONS], second[KERNEL_DIMENSIONS];
} KernelBroadcast;

// MUL. The scale is as in KernelPair, `shifts` as in KernelChannel.
typedef struct {
  uint32_t scratch_bytes;
  KernelBroadcast shape;
  int32_t multiplier;
  uint32_t shifts;
  int8_t first_zero, second_zero, output_zero, low, high;
  uint8_t requantize, reserved[2];
} KernelMultiply;

// ADD and SUB of any shapes: KernelAdd is faster where it can be taken. Multipliers have 31 bits.
typedef struct {
  uint32_t scratch_bytes;
  KernelBroadcast shape;
  int32_t first_multiplier, second_multiplier, multiplier;
  uint8_t first_right, second_right, right, subtract;
  int8_t first_zero, second_zero, output_zero, low, high;
  uint8_t reserved[3];
} KernelSum;

// A map of which only some rows are in RAM: row y lies at begin + (y % rows) * step.
typedef struct {
  const int8_t* begin;
  int32_t rows, step;
} KernelRing;

// Some rows of an output, from rows of its inputs. Those of the output follow each other, and so do those of inputs that
// the operator reads one by one: 1x1 convolutions, sums, tables.
typedef struct {
  const void* block;
  KernelRing inputs[2];
  int8_t* output;  // of the first of these rows
  int32_t first, count;
  void* scratch;
} KernelRows;

// Each takes the operator, its inputs, its output, and where it needs some, scratch memory, aligned to 4 bytes.
void kernel_conv(const KernelConv* conv, const int8_t* input, int8_t* output, void* scratch);
void kernel_conv_1x1(const KernelConv* conv, const int8_t* input, int8_t* output, void* scratch);  // stride 1, no padding
void kernel_fully_connected(const KernelConv* dense, const int8_t* input, int8_t* output, void* scratch);
void kernel_add(const KernelAdd* add, const int8_t* first, const int8_t* second, int8_t* output);
void kernel_average_pool(const KernelPool* pool, const int8_t* input, int8_t* output);
void kernel_depthwise(const KernelDepthwise* depthwise, const int8_t* input, int8_t* output, void* scratch);  // any window
void kernel_depthwise_3(const KernelDepthwise* depthwise, const int8_t* input, int8_t* output, void* scratch);  // of 3x3
void kernel_depthwise_5(const KernelDepthwise* depthwise, const int8_t* input, int8_t* output, void* scratch);
void kernel_depthwise_7(const KernelDepthwise* depthwise, const int8_t* input, int8_t* output, void* scratch);
void kernel_depthwise_small(const KernelDepthwise* depthwise, const int8_t* input, int8_t* output, void* scratch);
void kernel_conv_any(const KernelConvAny* conv, const int8_t* input, int8_t* output);
void kernel_max_pool(const KernelPool* pool, const int8_t* input, int8_t* output);
void kernel_pad(const KernelPad* pad, const int8_t* input, int8_t* output);
void kernel_mean(const KernelMean* mean, const int8_t* input, int8_t* output);
void kernel_softmax(const KernelSoftmax* softmax, const int8_t* input, int8_t* output);
void kernel_concatenation(const KernelConcatenation* concatenation, const int8_t* const* inputs, int8_t* output);
void kernel_resize(const KernelResize* resize, const int8_t* input, int8_t* output);
void kernel_transpose(const KernelTranspose* transpose, const int8_t* input, int8_t* output);
void kernel_lookup(const KernelLookup* lookup, const int8_t* input, int8_t* output);
void kernel_look_up(const int8_t* table, const int8_t* input, int8_t* output, uint32_t count);  // with any table
void kernel_multiply(const KernelMultiply* multiply, const int8_t* first, const int8_t* second, int8_t* output);
void kernel_sum(const KernelSum* sum, const int8_t* first, const int8_t* second, int8_t* output);

void kernel_conv_rows(const KernelRows* rows);
void kernel_conv_1x1_rows(const KernelRows* rows);
void kernel_depthwise_3_rows(const KernelRows* rows);
void kernel_depthwise_5_rows(const KernelRows* rows);
void kernel_depthwise_7_rows(const KernelRows* rows);
void kernel_conv_any_rows(const KernelRows* rows);
void kernel_add_rows(const KernelRows* rows);
void kernel_multiply_rows(const KernelRows* rows);
void kernel_lookup_rows(const KernelRows* rows);
void kernel_average_pool_rows(const KernelRows* rows);
void kernel_max_pool_rows(const KernelRows* rows);
void kernel_pad_rows(const KernelRows* rows);

// A map that a fused group reads or writes: a constant, or `offset` bytes from the arena's begin on.
typedef struct {
  const int8_t* constant;
  uint32_t offset;
  int32_t rows, step;  // as in KernelRing
} KernelMap;

typedef struct {
  const void* block;
  void (*run)(const KernelRows* rows);
  uint8_t inputs[2], output;  // numbers of maps
} KernelStage;

#define KERNEL_MOST_STAGES 13

// Operators that run together, some rows of each at a time. The schedule has two bytes for each call, the number of the
// stage and how many rows it computes next, and ends with no rows. A stage without a function is the network's input: the
// schedule waits for its rows there.
typedef struct {
  const KernelMap* maps;
  const KernelStage* stages;
  const uint8_t* schedule;
  uint32_t scratch;  // offset
} KernelFused;

// How far such operators have come: the next call, and how many rows of each stage are done.
typedef struct {
  const uint8_t* next;
  int32_t done[KERNEL_MOST_STAGES];
} KernelProgress;

// Runs the next call of the schedule, which has one. Returns 0; where it waits for the network's input, how many rows of
// that, counted from the first, must be in its ring before this is called again.
int32_t kernel_fused_next(const KernelFused* fused, KernelProgress* progress, int8_t* arena);

#ifdef __cplusplus
}
#endif
