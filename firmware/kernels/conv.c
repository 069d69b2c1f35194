// The windows of two output pixels become columns; windows that reach over the border see the input's zero point there.
#include "columns.h"
#include "ring.h"

// The columns of a window at `left` that lie on the input.
typedef struct {
  int begin, end;
} Columns;

static Columns columns_inside(const KernelConv* conv, int left) {
  const int begin = at_least(-left, 0), end = at_most(conv->input_width - left, conv->window_width);
  return (Columns){begin, at_least(end, begin)};
}

static uint32_t* spread_padding(uint32_t* column, uint32_t zeros, int words) {
  for (; words > 0; --words) {
    column[0] = column[1] = zeros;
    column += COLUMN_WORDS;
  }
  return column;
}

// The column of a window at (top, left) of the input, where the channels are whole words.
static void spread_window(const KernelConv* conv, const KernelRing* input, int top, int left, uint32_t* column) {
  const int words = conv->input_channels / 4, window = conv->window_width;
  const uint32_t zeros = ((uint32_t)conv->input_zero & 0xFFFF) * 0x10001;
  const Columns inside = columns_inside(conv, left);
  const int8_t* from = ring_row(input, at_least(top, 0));
  for (int y = top; y < top + conv->window_height; ++y) {
    if (y < 0 || y >= conv->input_height) {
      column = spread_padding(column, zeros, window * words);
      continue;
    }
    column = spread_padding(column, zeros, inside.begin * words);
    column = spread(column, from + 4 * words * (left + inside.begin), words * (inside.end - inside.begin));
    column = spread_padding(column, zeros, words * (window - inside.end));
    from = next_row(input, from);
  }
}

// memcpy and memset of the C library take longer for a few bytes; words may lie anywhere.
static int8_t* copy_bytes(int8_t* to, const int8_t* from, int count) {
  for (; count >= 4; count -= 4) {
    store_word(to, load_word(from));
    to += 4;
    from += 4;
  }
  for (; count > 0; --count) *to++ = *from++;
  return to;
}

static int8_t* fill_bytes(int8_t* to, int8_t value, int count) {
  for (; count > 0; --count) *to++ = value;
  return to;
}

// Copies whole words, up to 3 bytes more than `count`, which the next copy overwrites; returns where that one goes.
KERNEL_INLINE int8_t* copy_words(int8_t* to, const int8_t* from, int count) {
  for (int done = 0; done < count; done += 4) store_word(to + done, load_word(from + done));
  return to + count;
}

// A window inside of the input, as bytes. Whole words may be read of all rows but the last one, which still follows.
static void gather_inside(const KernelConv* conv, const KernelRing* input, int top, int left, int8_t* to) {
  const int row = conv->input_channels * conv->window_width, first = conv->input_channels * left;
  const int8_t* from = ring_row(input, top);
  for (int y = conv->window_height; y > 1; --y) {
    to = copy_words(to, from + first, row);
    from = next_row(input, from);
  }
  copy_bytes(to, from + first, row);
}

// Any window as bytes, for any number of channels.
static void gather_window(const KernelConv* conv, const KernelRing* input, int top, int left, int8_t* to) {
  const int channels = conv->input_channels, window = conv->window_width;
  const Columns inside = columns_inside(conv, left);
  const int8_t* from = ring_row(input, at_least(top, 0));
  for (int y = top; y < top + conv->window_height; ++y) {
    const int outside = y < 0 || y >= conv->input_height;
    const int first = outside ? window : inside.begin, last = outside ? window : inside.end;
    to = fill_bytes(to, conv->input_zero, first * channels);
    to = copy_bytes(to, from + channels * (left + inside.begin), (last - first) * channels);
    to = fill_bytes(to, conv->input_zero, (window - last) * channels);
    if (!outside) from = next_row(input, from);
  }
}

static int is_inside(const KernelConv* conv, int top, int left) {
  return conv->input_channels * conv->input_width >= 3 && top >= 0 && left >= 0 && top + conv->window_height <= conv->input_height &&
         left + conv->window_width <= conv->input_width;
}

void kernel_conv_rows(const KernelRows* rows) {
  const KernelConv* conv = rows->block;
  const KernelRing* input = &rows->inputs[0];
  int8_t* output = rows->output;
  const MultiplyColumns multiply_two = kernel_multiply_columns(conv, 2);
  uint32_t* columns = rows->scratch;
  int8_t* gathered = (int8_t*)(columns + COLUMN_WORDS * conv->words);
  const int count = rows->count * conv->output_width;
  int top = rows->first * conv->stride_height - conv->pad_top, left = -conv->pad_left, column = 0;
  for (int pixel = 0; pixel < count; ++pixel) {
    uint32_t* lane = columns + 2 * (pixel & 1);
    if (conv->input_channels % 4 == 0) {
      spread_window(conv, input, top, left, lane);
    } else {
      (is_inside(conv, top, left) ? gather_inside : gather_window)(conv, input, top, left, gathered);
      spread(lane, gathered, (int)conv->words);
    }
    left += conv->stride_width;
    if (++column == conv->output_width) {
      column = 0;
      left = -conv->pad_left;
      top += conv->stride_height;
    }
    if (pixel & 1) {
      multiply_two(conv, columns, output);
      output += 2 * conv->output_channels;
    }
  }
  if (count % 2 == 1) kernel_multiply_columns(conv, 1)(conv, columns, output);
}

void kernel_conv(const KernelConv* conv, const int8_t* input, int8_t* output, void* scratch) {
  const KernelRing map = whole_map(input, conv->input_height, conv->input_width * conv->input_channels);
  kernel_conv_rows(&(KernelRows){conv, {map}, output, 0, conv->output_height, scratch});
}
