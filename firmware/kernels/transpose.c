#include "kernels.h"

void kernel_transpose(const KernelTranspose* transpose, const int8_t* input, int8_t* output) {
  const uint32_t *counts = transpose->counts, *steps = transpose->steps;
  for (uint32_t i = 0; i < counts[0]; ++i) {
    for (uint32_t j = 0; j < counts[1]; ++j) {
      for (uint32_t k = 0; k < counts[2]; ++k) {
        const int8_t* from = input + i * steps[0] + j * steps[1] + k * steps[2];
        for (uint32_t left = counts[3]; left > 0; --left) {
          *output++ = *from;
          from += steps[3];
        }
      }
    }
  }
}
