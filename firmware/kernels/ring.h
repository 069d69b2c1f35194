// Rows of a map that lie in a ring; a whole map is a ring of all its rows.
#pragma once

#include "dsp.h"
#include "kernels.h"

KERNEL_INLINE int at_least(int x, int low) { return x < low ? low : x; }
KERNEL_INLINE int at_most(int x, int high) { return x > high ? high : x; }

KERNEL_INLINE KernelRing whole_map(const int8_t* begin, int rows, int step) { return (KernelRing){begin, rows, step}; }

KERNEL_INLINE const int8_t* ring_row(const KernelRing* ring, int row) { return ring->begin + row % ring->rows * ring->step; }

KERNEL_INLINE const int8_t* ring_end(const KernelRing* ring) { return ring->begin + ring->rows * ring->step; }

// The row after the one at `row`.
KERNEL_INLINE const int8_t* next_row(const KernelRing* ring, const int8_t* row) {
  row += ring->step;
  return row == ring_end(ring) ? ring->begin : row;
}
