// Walks two inputs of which dimensions may be repeated, a row of the innermost dimension at a time.
#pragma once

#include "dsp.h"
#include "kernels.h"

// The innermost dimension: `count` outputs, and the steps of both inputs, 0 or 1.
typedef struct {
  const int8_t *first, *second;
  int8_t* output;
  uint32_t count, first_step, second_step;
} Row;

typedef void (*RowFunction)(const void* block, const Row* row);

KERNEL_INLINE void each_row(const KernelBroadcast* shape, const int8_t* first, const int8_t* second, int8_t* output,
                            RowFunction function, const void* block) {
  const uint32_t* counts = shape->counts;
  for (uint32_t i = 0; i < counts[0]; ++i) {
    for (uint32_t j = 0; j < counts[1]; ++j) {
      const int8_t* one = first + i * shape->first[0] + j * shape->first[1];
      const int8_t* other = second + i * shape->second[0] + j * shape->second[1];
      for (uint32_t k = 0; k < counts[2]; ++k) {
        const Row row = {one, other, output, counts[3], shape->first[3], shape->second[3]};
        function(block, &row);
        output += counts[3];
        one += shape->first[2];
        other += shape->second[2];
      }
    }
  }
}
