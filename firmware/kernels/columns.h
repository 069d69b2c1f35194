// Two columns: what the windows of two output pixels see, spread to 16 bits, and their products with all channels.
#pragma once

#include "dot.h"
#include "dsp.h"
#include "kernels.h"

#define COLUMN_WORDS 4  // from one group of 4 values of a column to the next, between them those of the other column

// Spreads whole words; returns where the next one goes.
KERNEL_INLINE uint32_t* spread(uint32_t* column, const int8_t* from, int words) {
#pragma GCC unroll 4
  for (int i = 0; i < words; ++i) {
    const uint32_t word = load_word(from + 4 * i);
    column[0] = sxtb16(word);
    column[1] = sxtb16_ror8(word);
    column += COLUMN_WORDS;
  }
  return column;
}

// Spreads `count` values; those that fill up the last word meet weights of 0.
KERNEL_INLINE void spread_all(uint32_t* column, const int8_t* from, int count) {
  column = spread(column, from, count / 4);
  from += count & ~3;
  if (count % 4 != 0) {
    uint32_t word = (uint8_t)from[0];  // not a whole word: that might lie beyond the last byte of RAM
    if (count % 4 > 1) word |= (uint32_t)(uint8_t)from[1] << 8;
    if (count % 4 > 2) word |= (uint32_t)(uint8_t)from[2] << 16;
    column[0] = sxtb16(word);
    column[1] = sxtb16_ror8(word);
  }
}

// Spreads `count` values of each of two pixels.
KERNEL_INLINE void spread_two(uint32_t* columns, const int8_t* first, const int8_t* second, int count) {
  for (; count >= 4; count -= 4) {
    const uint32_t x = load_word(first), y = load_word(second);
    columns[0] = sxtb16(x);
    columns[1] = sxtb16_ror8(x);
    columns[2] = sxtb16(y);
    columns[3] = sxtb16_ror8(y);
    columns += COLUMN_WORDS;
    first += 4;
    second += 4;
  }
  if (count > 0) {
    spread_all(columns, first, count);
    spread_all(columns + 2, second, count);
  }
}

// Computes all output channels of one pixel or of two that follow each other, whose columns begin at `columns`.
typedef void (*MultiplyColumns)(const KernelConv* conv, const uint32_t* columns, int8_t* output);

MultiplyColumns kernel_multiply_columns(const KernelConv* conv, int pixels);
