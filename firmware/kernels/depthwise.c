// Channel by channel: some rows of it are spread to 16 bits with their border, so that SMLAD takes two neighbours of a
// row at once, and the loops know no border.
#include "depthwise_sums.h"
#include "dsp.h"
#include "kernels.h"
#include "requantize.h"
#include "ring.h"

#define MOST_WORDS (7 * 6)  // of the pairs of a channel's weights
#define NOT_INLINE static __attribute__((noinline))  // so that each inner loop has the registers for itself

// What the loops over the outputs of one channel read.
typedef struct {
  const uint32_t* weights;  // as they stand in flash
  int32_t multiplier;
  uint32_t shifts;
  Bounds bounds;
  int32_t bias;
  int mode, pitch, channels, width, rows;  // the pitch in bytes
} Plane;

// Of each row of weights the even pairs, then the odd ones.
KERNEL_INLINE void spread_rows_of_weights(const uint32_t* from, uint32_t* to, int window) {
  const int half = window / 2;
#pragma GCC unroll 7
  for (int row = 0; row < window; ++row) {
#pragma GCC unroll 3
    for (int i = 0; i < half; ++i) {
      to[i] = sxtb16(from[i]);
      to[half + i] = sxtb16_ror8(from[i]);
    }
    from += half;
    to += 2 * half;
  }
}

NOT_INLINE void spread_weights_5(const uint32_t* from, uint32_t* to) { spread_rows_of_weights(from, to, 5); }
NOT_INLINE void spread_weights_7(const uint32_t* from, uint32_t* to) { spread_rows_of_weights(from, to, 7); }

KERNEL_INLINE void spread_weights(const uint32_t* from, uint32_t* to, int window) {
  if (window == 3) spread_rows_of_weights(from, to, 3);
  if (window == 5) spread_weights_5(from, to);
  if (window == 7) spread_weights_7(from, to);
}

// Where the values of a channel, or of some, come from and go to.
typedef struct {
  int channels, offset;       // bytes from a pixel of the input to the next, and from a row's begin to these channels
  int begin, count, rows;     // what of a plane lies on the input: the place of its first value, columns and rows
  int pitch, size;            // values of a row and of a plane
  const KernelRing* input;
  const int8_t* first;        // the first row
} Layout;

// One channel.
NOT_INLINE void spread_plane(const Layout* layout, int16_t* to) {
  const int channels = layout->channels;
  const int8_t* from = layout->first;
  to += layout->begin;
  for (int row = layout->rows; row > 0; --row) {
    const int8_t* source = from + layout->offset;
    int16_t* target = to;
    for (int left = layout->count; left > 0; --left) {
      store_half(target++, *source);
      source += channels;
    }
    from = next_row(layout->input, from);
    to += layout->pitch;
  }
}

// Four channels at once, to four planes: a word of the input has a value of each.
NOT_INLINE void spread_planes(const Layout* layout, int16_t* to) {
  const int channels = layout->channels, size = layout->size;
  const int8_t* from = layout->first;
  to += layout->begin;
  for (int row = layout->rows; row > 0; --row) {
    const int8_t* source = from + layout->offset;
    int16_t* target = to;
    int left = layout->count;
    for (; left >= 2; left -= 2) {
      const uint32_t x = load_word(source), y = load_word(source + channels);
      const uint32_t x_even = sxtb16(x), x_odd = sxtb16_ror8(x), y_even = sxtb16(y), y_odd = sxtb16_ror8(y);
      store_word(target, low_halves(x_even, y_even));
      store_word(target + size, low_halves(x_odd, y_odd));
      store_word(target + 2 * size, high_halves(x_even, y_even));
      store_word(target + 3 * size, high_halves(x_odd, y_odd));
      source += 2 * channels;
      target += 2;
    }
    if (left > 0) {
      store_half(target, source[0]);
      store_half(target + size, source[1]);
      store_half(target + 2 * size, source[2]);
      store_half(target + 3 * size, source[3]);
    }
    from = next_row(layout->input, from);
    to += layout->pitch;
  }
}

// Any bounds, any number of outputs.
NOT_INLINE void store_clamped(const Plane* plane, const int32_t* sums, int8_t* output, int count) {
  for (int i = 0; i < count; ++i) {
    output[i * plane->channels] = requantize(sums[i], plane->multiplier, plane->shifts, &plane->bounds, KERNEL_CLAMP);
  }
}

// The loops are unrolled, so that the sums stay in registers, and `bounds` is a copy since an output may be anything.
KERNEL_INLINE void store(const Plane* plane, const int32_t* sums, int8_t* output, int count) {
  const int channels = plane->channels, mode = plane->mode;
  const int32_t multiplier = plane->multiplier;
  const uint32_t shifts = plane->shifts;
  const Bounds bounds = plane->bounds;
  if (mode == KERNEL_SATURATE) {
#pragma GCC unroll 4
    for (int i = 0; i < count; ++i) {
      output[i * channels] = requantize(sums[i], multiplier, shifts, &bounds, KERNEL_SATURATE);
    }
  } else if (mode == KERNEL_ROUND) {
#pragma GCC unroll 4
    for (int i = 0; i < count; ++i) {
      output[i * channels] = requantize(sums[i], multiplier, shifts, &bounds, KERNEL_ROUND);
    }
  } else {
    int32_t copies[4];
#pragma GCC unroll 4
    for (int i = 0; i < count; ++i) copies[i] = sums[i];
    store_clamped(plane, copies, output, count);
  }
}

// All outputs of the rows of a plane: by four, then by two, of which the last may be computed and dropped.
KERNEL_INLINE void output_rows(const Plane* plane, const uint32_t* values, int8_t* output, int window, int stride) {
  uint32_t weights[MOST_WORDS];
  spread_weights(plane->weights, weights, window);
  for (int row = plane->rows; row > 0; --row) {
    const uint32_t* from = values;
    int left = plane->width;
    for (; left > 2; left -= 4) {
      int32_t sums[4] = {plane->bias, plane->bias, plane->bias, plane->bias};
      sum_windows(from, plane->pitch, weights, sums, window, stride, 4);
      if (left == 3) {
        store(plane, sums, output, 3);
        output += 3 * plane->channels;
        left = 4;
      } else {
        store(plane, sums, output, 4);
        output += 4 * plane->channels;
      }
      from += 2 * stride;
    }
    if (left > 0) {
      int32_t sums[2] = {plane->bias, plane->bias};
      sum_windows(from, plane->pitch, weights, sums, window, stride, 2);
      if (left == 2) {
        store(plane, sums, output, 2);
      } else {
        store(plane, sums, output, 1);
      }
      output += left * plane->channels;
    }
    values = (const uint32_t*)((const char*)values + plane->pitch * stride);
  }
}

NOT_INLINE void output_3(const Plane* plane, const uint32_t* values, int8_t* output) {
  output_rows(plane, values, output, 3, 1);
}
NOT_INLINE void output_3_by_2(const Plane* plane, const uint32_t* values, int8_t* output) {
  output_rows(plane, values, output, 3, 2);
}
NOT_INLINE void output_5(const Plane* plane, const uint32_t* values, int8_t* output) {
  output_rows(plane, values, output, 5, 1);
}
NOT_INLINE void output_5_by_2(const Plane* plane, const uint32_t* values, int8_t* output) {
  output_rows(plane, values, output, 5, 2);
}
NOT_INLINE void output_7(const Plane* plane, const uint32_t* values, int8_t* output) {
  output_rows(plane, values, output, 7, 1);
}
NOT_INLINE void output_7_by_2(const Plane* plane, const uint32_t* values, int8_t* output) {
  output_rows(plane, values, output, 7, 2);
}

typedef void (*OutputPlane)(const Plane* plane, const uint32_t* values, int8_t* output);

// Sets pairs of values.
static void fill(uint32_t* to, int value, int words) {
  const uint32_t pair = ((uint32_t)value & 0xFFFF) * 0x10001;
#pragma GCC unroll 4
  for (int i = 0; i < words; ++i) to[i] = pair;
}

// One channel, whose plane is spread already; returns where the next record begins.
static const uint32_t* output_channel(Plane* plane, OutputPlane output_plane, const uint32_t* record, int window,
                                      const int16_t* values, int8_t* output) {
  const KernelChannel* channel = (const KernelChannel*)record;
  plane->bias = channel->bias;
  plane->multiplier = channel->multiplier;
  plane->shifts = channel->shifts;
  plane->weights = (const uint32_t*)(channel + 1);
  output_plane(plane, (const uint32_t*)values, output);
  return plane->weights + window * (window / 2);
}

// The output rows from `top` on, of all channels.
static void output_band(const KernelDepthwise* depthwise, OutputPlane output_plane, const KernelRing* input,
                        int8_t* output, int16_t* values, int top, int rows) {
  const int channels = depthwise->channels, window = depthwise->window_width, pitch = depthwise->pitch;
  const int first_row = top * depthwise->stride - depthwise->pad_top, height = (rows - 1) * depthwise->stride + window;
  const int begin = at_least(-first_row, 0), end = at_most(depthwise->input_height - first_row, height);
  const int count = at_most(depthwise->input_width, pitch - depthwise->pad_left);
  Layout layout = {channels, 0, begin * pitch + depthwise->pad_left, count, end - begin, pitch, (int)depthwise->plane,
                   input, ring_row(input, first_row + begin)};
  Plane plane = {0, 0, 0, {depthwise->output_zero, depthwise->low, depthwise->high}, 0, depthwise->requantize,
                 2 * pitch, channels, depthwise->output_width, rows};
  const uint32_t* record = (const uint32_t*)((const char*)depthwise + depthwise->records);
  fill((uint32_t*)values, depthwise->input_zero, at_most(channels, 4) * layout.size / 2);
  int left = channels;
  for (; left >= 4; left -= 4) {
    spread_planes(&layout, values);
    layout.offset += 4;
    for (int i = 0; i < 4; ++i) {
      record = output_channel(&plane, output_plane, record, window, values + i * layout.size, output++);
    }
  }
  for (; left > 0; --left) {
    spread_plane(&layout, values);
    ++layout.offset;
    record = output_channel(&plane, output_plane, record, window, values, output++);
  }
}

// `output_plane` is for stride 1, `by_2` for stride 2.
static void output_bands(const KernelRows* rows, OutputPlane output_plane, OutputPlane by_2) {
  const KernelDepthwise* depthwise = rows->block;
  const int step = depthwise->channels * depthwise->output_width;
  for (int done = 0; done < rows->count; done += depthwise->band) {
    output_band(depthwise, depthwise->stride == 1 ? output_plane : by_2, &rows->inputs[0], rows->output + done * step,
                rows->scratch, rows->first + done, at_most(rows->count - done, depthwise->band));
  }
}

static KernelRows all_rows(const KernelDepthwise* depthwise, const int8_t* input, int8_t* output, void* scratch) {
  const KernelRing map = whole_map(input, depthwise->input_height, depthwise->input_width * depthwise->channels);
  return (KernelRows){depthwise, {map}, output, 0, depthwise->output_height, scratch};
}

// A function for each window, so that a firmware holds only those of its network.
void kernel_depthwise_3_rows(const KernelRows* rows) { output_bands(rows, output_3, output_3_by_2); }
void kernel_depthwise_5_rows(const KernelRows* rows) { output_bands(rows, output_5, output_5_by_2); }
void kernel_depthwise_7_rows(const KernelRows* rows) { output_bands(rows, output_7, output_7_by_2); }

void kernel_depthwise_3(const KernelDepthwise* depthwise, const int8_t* input, int8_t* output, void* scratch) {
  const KernelRows rows = all_rows(depthwise, input, output, scratch);
  kernel_depthwise_3_rows(&rows);
}
void kernel_depthwise_5(const KernelDepthwise* depthwise, const int8_t* input, int8_t* output, void* scratch) {
  const KernelRows rows = all_rows(depthwise, input, output, scratch);
  kernel_depthwise_5_rows(&rows);
}
void kernel_depthwise_7(const KernelDepthwise* depthwise, const int8_t* input, int8_t* output, void* scratch) {
  const KernelRows rows = all_rows(depthwise, input, output, scratch);
  kernel_depthwise_7_rows(&rows);
}

void kernel_depthwise(const KernelDepthwise* depthwise, const int8_t* input, int8_t* output, void* scratch) {
  if (depthwise->plane == 0) return kernel_depthwise_small(depthwise, input, output, scratch);
  switch (depthwise->window_width) {
    case 3: return kernel_depthwise_3(depthwise, input, output, scratch);
    case 5: return kernel_depthwise_5(depthwise, input, output, scratch);
    default: return kernel_depthwise_7(depthwise, input, output, scratch);
  }
}
