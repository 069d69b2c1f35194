#include "columns.h"

static int at_least(int x, int low) { return x < low ? low : x; }
static int at_most(int x, int high) { return x > high ? high : x; }

static uint32_t* spread_padding(uint32_t* column, uint32_t zeros, int words) {
  for (; words > 0; --words) {
    column[0] = column[1] = zeros;
    column += COLUMN_WORDS;
  }
  return column;
}

// The column of a window at (top, left) of the input, where the channels are whole words.
static void spread_window(const KernelConv* conv, const int8_t* input, int top, int left, uint32_t* column) {
  const int width = conv->input_width, words = conv->input_channels / 4, window = conv->window_width;
  const uint32_t zeros = ((uint32_t)conv->input_zero & 0xFFFF) * 0x10001;
  const int begin = at_least(-left, 0), end = at_least(at_most(width - left, window), begin);
  for (int y = top; y < top + conv->window_height; ++y) {
    if (y < 0 || y >= conv->input_height) {
      column = spread_padding(column, zeros, window * words);
      continue;
    }
    column = spread_padding(column, zeros, begin * words);
    column = spread(column, input + 4 * words * (y * width + left + begin), words * (end - begin));
    column = spread_padding(column, zeros, words * (window - end));
  }
}

// The same for any number of channels: the window is gathered as bytes first, behind the columns.
static void gather_window(const KernelConv* conv, const int8_t* input, int top, int left, int8_t* to) {
  const int width = conv->input_width, channels = conv->input_channels, window = conv->window_width;
  const int begin = at_least(-left, 0), end = at_least(at_most(width - left, window), begin);
  for (int y = top; y < top + conv->window_height; ++y) {
    const int outside = y < 0 || y >= conv->input_height;
    const int first = outside ? window : begin, last = outside ? window : end;
    memset(to, conv->input_zero, (size_t)(first * channels));
    if (last > first) {
      memcpy(to + first * channels, input + channels * (y * width + left + first), (size_t)((last - first) * channels));
    }
    memset(to + last * channels, conv->input_zero, (size_t)((window - last) * channels));
    to += window * channels;
  }
}

void kernel_conv(const KernelConv* conv, const int8_t* input, int8_t* output, void* scratch) {
  uint32_t* columns = scratch;
  int8_t* gathered = (int8_t*)(columns + COLUMN_WORDS * conv->words);
  const int count = conv->output_height * conv->output_width;
  int top = -conv->pad_top, column = 0;
  for (int pixel = 0; pixel < count; ++pixel) {
    const int left = column * conv->stride_width - conv->pad_left;
    uint32_t* lane = columns + 2 * (pixel & 1);
    if (conv->input_channels % 4 == 0) {
      spread_window(conv, input, top, left, lane);
    } else {
      gather_window(conv, input, top, left, gathered);
      spread(lane, gathered, (int)conv->words);
    }
    if (++column == conv->output_width) {
      column = 0;
      top += conv->stride_height;
    }
    if ((pixel & 1) == 0 && pixel + 1 < count) continue;
    const int pixels = 1 + (pixel & 1);
    kernel_multiply_columns(conv, columns, output, pixels);
    output += pixels * conv->output_channels;
  }
}
